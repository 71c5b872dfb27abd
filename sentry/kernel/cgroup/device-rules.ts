/** Which devices tasks may use: the container's list, and programs of its groups (kernel/bpf/cgroup.c, BPF_CGROUP_DEVICE). */
import { major, minor } from '../../abi/device.ts';
import { E2BIG, EINVAL, ENOENT, EPERM } from '../../abi/errno.ts';
import { S_IFBLK, S_IFMT } from '../../abi/stat.ts';
import { setDeviceGuard } from '../../vfs/permission.ts';
import type { Container } from '../container.ts';
import { type DeviceList, listAllows } from '../device-list.ts';
import type { Task } from '../task.ts';
import type { Cgroup } from './cgroup.ts';
import { runDeviceProgram, type DeviceProgram } from './device-program.ts';

export const BPF_F_ALLOW_OVERRIDE = 1;
export const BPF_F_ALLOW_MULTI = 2;
export const BPF_F_REPLACE = 4;
const BPF_CGROUP_MAX_PROGS = 64;

/** A loaded program; `id` is what BPF_PROG_QUERY tells. */
export interface LoadedProgram {
  readonly id: number;
  readonly program: DeviceProgram;
}

interface Attached {
  flags: number;
  readonly programs: LoadedProgram[];
}

const byGroup = new WeakMap<Cgroup, Attached>();

const NONE: Attached = { flags: 0, programs: [] };

export function attachedTo(g: Cgroup): Readonly<Attached> {
  return byGroup.get(g) ?? NONE;
}

/** hierarchy_allows_attach() */
function mayAttachBelow(g: Cgroup): boolean {
  for (let at = g.parent; at !== null; at = at.parent) {
    const { flags, programs } = attachedTo(at);
    if ((flags & BPF_F_ALLOW_MULTI) !== 0) return true;
    if (programs.length > 0) return (flags & BPF_F_ALLOW_OVERRIDE) !== 0;
  }
  return true;
}

/** __cgroup_bpf_attach(): 0 or −errno. `old`: what BPF_F_REPLACE replaces. */
export function attachProgram(g: Cgroup, p: LoadedProgram, flags: number, old: LoadedProgram | null): number {
  const saved = flags & (BPF_F_ALLOW_OVERRIDE | BPF_F_ALLOW_MULTI);
  const multi = (flags & BPF_F_ALLOW_MULTI) !== 0;
  const replace = (flags & BPF_F_REPLACE) !== 0;
  if (saved === (BPF_F_ALLOW_OVERRIDE | BPF_F_ALLOW_MULTI) || (replace && !multi)) return -EINVAL;
  if (!mayAttachBelow(g)) return -EPERM;
  const a = byGroup.get(g) ?? { flags: saved, programs: [] };
  if (a.programs.length > 0 && a.flags !== saved) return -EPERM;
  if (a.programs.length >= BPF_CGROUP_MAX_PROGS) return -E2BIG;
  if (multi && a.programs.includes(p)) return -EINVAL;
  a.flags = saved;
  if (replace) {
    const i = old === null ? -1 : a.programs.indexOf(old);
    if (i < 0) return -ENOENT;
    a.programs[i] = p;
  } else if (multi || a.programs.length === 0) a.programs.push(p);
  else a.programs[0] = p;
  byGroup.set(g, a);
  setDeviceGuard(mayUseDevice);
  return 0;
}

/** __cgroup_bpf_detach(): 0 or −errno. */
export function detachProgram(g: Cgroup, p: LoadedProgram | null): number {
  const a = byGroup.get(g);
  if (a === undefined || a.programs.length === 0) return -ENOENT;
  const multi = (a.flags & BPF_F_ALLOW_MULTI) !== 0;
  if (multi && p === null) return -EINVAL;
  const i = multi ? a.programs.indexOf(p!) : 0;
  if (i < 0) return -ENOENT;
  a.programs.splice(i, 1);
  return 0;
}

/** compute_effective_progs(): those of the nearest group, and of every one above that allows others beside its own. */
export function effectivePrograms(g: Cgroup): LoadedProgram[] {
  const all: LoadedProgram[] = [];
  for (let at: Cgroup | null = g; at !== null; at = at.parent) {
    const { flags, programs } = attachedTo(at);
    if (all.length === 0 || (flags & BPF_F_ALLOW_MULTI) !== 0) all.push(...programs);
  }
  return all;
}

const BPF_DEVCG_DEV_BLOCK = 1;
const BPF_DEVCG_DEV_CHAR = 2;

/** What the configuration of a container allows it. */
export function setDeviceList(box: Container, list: DeviceList): void {
  box.devices = list;
  setDeviceGuard(mayUseDevice);
}

/** devcgroup_check_permission(): all programs have to agree, and the container's list. */
function mayUseDevice(t: unknown, mode: number, rdev: number, access: number): boolean {
  const { cset, group: threads } = t as Partial<Task>;
  // The kernel itself, which puts a container together.
  if (cset === undefined || threads === undefined) return true;
  const block = (mode & S_IFMT) === S_IFBLK;
  const list = threads.container?.devices ?? null;
  if (list !== null && !listAllows(list, block, major(rdev), minor(rdev), access)) return false;
  const type = block ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR;
  const group = cset.unified;
  for (let at: Cgroup | null = group, nearest = true; at !== null; at = at.parent) {
    const { flags, programs } = attachedTo(at);
    if (!nearest && (flags & BPF_F_ALLOW_MULTI) === 0) continue;
    for (const { program } of programs) {
      if (!runDeviceProgram(program, type, access, major(rdev), minor(rdev))) return false;
    }
    if (programs.length > 0) nearest = false;
  }
  return true;
}
