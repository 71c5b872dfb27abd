/**
 * bpf(2), as far as engines and systemd need it to keep containers from devices: programs of type CGROUP_DEVICE, attached to
 * groups (kernel/bpf/syscall.c). Everything else of it is refused.
 */
import { E2BIG, EBADF, EFAULT, EINVAL, ENOENT, ENOSPC, EPERM } from '../sentry/abi/errno.ts';
import { O_RDWR } from '../sentry/abi/fcntl.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { CAP_BPF, CAP_NET_ADMIN, CAP_SYS_ADMIN } from '../sentry/auth/capability.ts';
import { anonInode } from '../sentry/fsimpl/anon/anon-inode.ts';
import { CgroupDir } from '../sentry/fsimpl/cgroup/dir.ts';
import type { Cgroup } from '../sentry/kernel/cgroup/cgroup.ts';
import { checkDeviceProgram } from '../sentry/kernel/cgroup/device-program.ts';
import {
  attachedTo,
  attachProgram,
  BPF_F_REPLACE,
  detachProgram,
  effectivePrograms,
  type LoadedProgram,
} from '../sentry/kernel/cgroup/device-rules.ts';
import { oneOf, ptr, uint, type SysResult, type SyscallRow } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { PAGE_SIZE } from '../sentry/lib/addr.ts';
import { FileDescription } from '../sentry/vfs/file-description.ts';
import { installFd } from './fd-install.ts';

const BPF_PROG_LOAD = 5;
const BPF_PROG_ATTACH = 8;
const BPF_PROG_DETACH = 9;
const BPF_PROG_GET_NEXT_ID = 11;
const BPF_PROG_GET_FD_BY_ID = 13;
const BPF_PROG_QUERY = 16;
const COMMANDS = {
  BPF_PROG_LOAD, BPF_PROG_ATTACH, BPF_PROG_DETACH, BPF_PROG_GET_NEXT_ID, BPF_PROG_GET_FD_BY_ID, BPF_PROG_QUERY,
}; // prettier-ignore

const BPF_PROG_TYPE_CGROUP_SKB = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE = 15;
const BPF_CGROUP_INET_INGRESS = 0;
const BPF_CGROUP_INET_EGRESS = 1;
const BPF_CGROUP_DEVICE = 6;
/** The type of program that an attach type takes (attach_type_to_prog_type); what is not here is refused. */
const ATTACH_TYPES = new Map([
  [BPF_CGROUP_INET_INGRESS, BPF_PROG_TYPE_CGROUP_SKB],
  [BPF_CGROUP_INET_EGRESS, BPF_PROG_TYPE_CGROUP_SKB],
  [BPF_CGROUP_DEVICE, BPF_PROG_TYPE_CGROUP_DEVICE],
]);
const BPF_F_QUERY_EFFECTIVE = 1;
const BPF_MAXINSNS = 4096;
/** sizeof(union bpf_attr) of a recent kernel. */
const ATTR_SIZE = 152;

class BpfProgramFile extends FileDescription {
  readonly type: number;
  readonly loaded: LoadedProgram;

  constructor(type: number, loaded: LoadedProgram) {
    super(null, anonInode('bpf-prog'), O_RDWR);
    this.type = type;
    this.loaded = loaded;
  }
}

/** Programs by id: those with a descriptor, or attached somewhere. */
const byId = new Map<number, WeakRef<LoadedProgram>>();
const forgotten = new FinalizationRegistry<number>((id) => byId.delete(id));
let lastId = 0;

const attr = Buffer.alloc(PAGE_SIZE);

/** bpf_check_uarg_tail_zero() and the copy: 0 or −errno. */
function takeAttr(t: Task, addr: number, size: number): number {
  if (size > PAGE_SIZE) return -E2BIG;
  attr.fill(0, 0, ATTR_SIZE);
  if (t.mem.copyIn(addr, attr, 0, size) !== 0) return -EFAULT;
  for (let i = ATTR_SIZE; i < size; i++) if (attr[i] !== 0) return -E2BIG;
  return 0;
}

const u32 = (at: number): number => attr.readUInt32LE(at);
const address = (at: number): number => attr.readUInt32LE(at) + attr.readUInt32LE(at + 4) * 2 ** 32;

function load(t: Task): SysResult {
  const type = u32(0);
  const count = u32(4);
  // Libraries find out with one for packets, which does nothing, whether programs can be attached to groups at all.
  if (type !== BPF_PROG_TYPE_CGROUP_DEVICE && type !== BPF_PROG_TYPE_CGROUP_SKB) return -EINVAL;
  if (!t.creds.has(CAP_NET_ADMIN) && !t.creds.has(CAP_SYS_ADMIN)) return -EPERM;
  if (count === 0 || count > BPF_MAXINSNS) return -E2BIG;
  const code = Buffer.alloc(count * 8);
  if (t.mem.copyIn(address(8), code, 0, code.length) !== 0) return -EFAULT;
  const program = checkDeviceProgram(code, type === BPF_PROG_TYPE_CGROUP_DEVICE);
  if (typeof program === 'number') return program;
  const loaded: LoadedProgram = { id: ++lastId, program };
  if (type === BPF_PROG_TYPE_CGROUP_DEVICE) {
    byId.set(loaded.id, new WeakRef(loaded));
    forgotten.register(loaded, loaded.id);
  }
  return installFd(t, new BpfProgramFile(type, loaded), true);
}

function groupOf(t: Task, fd: number): Cgroup | number {
  const f = t.fdTable.get(fd);
  if (f === null || !(f.inode instanceof CgroupDir)) return -EBADF;
  const { cgroup } = f.inode;
  return cgroup.hierarchy.unified && cgroup.hierarchy.all === t.cset.all ? cgroup : -EBADF;
}

function programOf(t: Task, fd: number, type: number): LoadedProgram | number {
  const f = t.fdTable.get(fd);
  if (f === null) return -EBADF;
  return f instanceof BpfProgramFile && f.type === type ? f.loaded : -EINVAL;
}

function attach(t: Task, detaches: boolean): SysResult {
  const type = ATTACH_TYPES.get(u32(8));
  if (type === undefined) return -EINVAL;
  if (!t.creds.has(CAP_NET_ADMIN) && !t.creds.has(CAP_SYS_ADMIN)) return -EPERM;
  const flags = u32(12);
  if (!detaches && (flags & ~7) !== 0) return -EINVAL;
  let p: LoadedProgram | number | null = programOf(t, attr.readInt32LE(4), type);
  if (typeof p === 'number') {
    if (!detaches) return p;
    p = null;
  }
  const g = groupOf(t, attr.readInt32LE(0));
  if (typeof g === 'number') return g;
  // Packets are not the sentry's to filter.
  if (type !== BPF_PROG_TYPE_CGROUP_DEVICE) return -EINVAL;
  if (detaches) return detachProgram(g, p);
  const old = (flags & BPF_F_REPLACE) !== 0 ? programOf(t, attr.readInt32LE(16), type) : null;
  return typeof old === 'number' ? old : attachProgram(g, p!, flags, old);
}

/** The ids of what is attached: the fields attach_flags and prog_cnt of the caller's struct are filled. */
function query(t: Task, addr: number): SysResult {
  if (!t.creds.has(CAP_NET_ADMIN) && !t.creds.has(CAP_SYS_ADMIN)) return -EPERM;
  const flags = u32(8);
  if ((flags & ~BPF_F_QUERY_EFFECTIVE) !== 0 || u32(4) !== BPF_CGROUP_DEVICE) return -EINVAL;
  const g = groupOf(t, attr.readInt32LE(0));
  if (typeof g === 'number') return g;
  const own = attachedTo(g);
  const all = flags === 0 ? own.programs : effectivePrograms(g);
  const room = u32(24);
  const ids = address(16);
  if (t.mem.writeU32(addr + 12, flags === 0 ? own.flags : 0) !== 0) return -EFAULT;
  if (t.mem.writeU32(addr + 24, all.length) !== 0) return -EFAULT;
  if (room === 0 || ids === 0 || all.length === 0) return 0;
  for (let i = 0; i < Math.min(room, all.length); i++) {
    if (t.mem.writeU32(ids + 4 * i, all[i]!.id) !== 0) return -EFAULT;
  }
  return room < all.length ? -ENOSPC : 0;
}

function nextId(t: Task, addr: number): SysResult {
  if (!t.creds.has(CAP_SYS_ADMIN)) return -EPERM;
  let next = 0;
  for (const [id, ref] of byId)
    if (id > u32(0) && ref.deref() !== undefined && (next === 0 || id < next)) next = id;
  if (next === 0) return -ENOENT;
  return t.mem.writeU32(addr + 4, next) !== 0 ? -EFAULT : 0;
}

function openById(t: Task): SysResult {
  if (!t.creds.has(CAP_SYS_ADMIN)) return -EPERM;
  const p = byId.get(u32(0))?.deref();
  return p === undefined ? -ENOENT : installFd(t, new BpfProgramFile(BPF_PROG_TYPE_CGROUP_DEVICE, p), true);
}

/** bpf(2). Unprivileged callers are refused as with kernel.unprivileged_bpf_disabled. */
function sysBpf(t: Task, a: SyscallArgs): SysResult {
  if (!t.creds.has(CAP_BPF) && !t.creds.has(CAP_SYS_ADMIN)) return -EPERM;
  const addr = a.addr(1);
  const r = takeAttr(t, addr, a.uint(2));
  if (r !== 0) return r;
  switch (a.uint(0)) {
    case BPF_PROG_LOAD:
      return load(t);
    case BPF_PROG_ATTACH:
      return attach(t, false);
    case BPF_PROG_DETACH:
      return attach(t, true);
    case BPF_PROG_QUERY:
      return query(t, addr);
    case BPF_PROG_GET_NEXT_ID:
      return nextId(t, addr);
    case BPF_PROG_GET_FD_BY_ID:
      return openById(t);
    default:
      return -EINVAL;
  }
}

export const bpfRows: readonly SyscallRow[] = [
  {
    nr: 321,
    name: 'bpf',
    fn: sysBpf,
    args: [oneOf(COMMANDS), ptr, uint],
    support: 'partial',
    note: 'programs for the devices of control groups only, without maps, loops and calls',
  },
];
