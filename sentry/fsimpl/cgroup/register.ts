/**
 * Mounting control groups: cgroup2 is the container's one unified hierarchy, cgroup one of version 1, made when it is first
 * asked for (kernel/cgroup/cgroup-v1.c, cgroup1_get_tree). config.json has version 2 by either name (oci-shim/boot/mounts).
 */
import { PIDS } from '../../abi/cgroup.ts';
import { EBUSY, EINVAL, ENOENT, EPERM } from '../../abi/errno.ts';
import { CAP_SYS_ADMIN } from '../../auth/capability.ts';
import type { Cgroup } from '../../kernel/cgroup/cgroup.ts';
import type { CgroupHierarchies, Hierarchy } from '../../kernel/cgroup/hierarchy.ts';
import type { CgroupOperations } from '../../kernel/cgroup/operations.ts';
import type { CgroupNamespace } from '../../kernel/namespaces.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { registerFileSystem } from '../../vfs/fs-types.ts';
import type { SuperBlock } from '../../vfs/super-block.ts';
import type { ProcEnv } from '../proc/env.ts';
import { controllerFiles } from './controller-files.ts';
import { coreFiles } from './core-files.ts';
import { CgroupSuperBlock } from './super-block.ts';
import { v1Files } from './v1-files.ts';

/** Who mounts is in one: a task, or the kernel for a container. */
const namespaceOf = (t: CallContext): CgroupNamespace => (t as unknown as Mounter).ns.cgroup;

interface Mounter {
  readonly ns: { readonly cgroup: CgroupNamespace };
}

/** What of cgroup2's own options anybody may say; they are in force for all mounts, and only the machine's own namespace sets them. */
const OPTIONS_V2 = [
  'nsdelegate', 'favordynmods', 'memory_localevents', 'memory_recursiveprot', 'memory_hugetlb_accounting', 'pids_localevents',
]; // prettier-ignore

interface OptionsV1 {
  none: boolean;
  name: string;
  controllers: number;
}

const MAX_NAME = 64;

/** cgroup1_parse_param(), check_cgroupfs_options() */
function parseV1(data: string): OptionsV1 | number {
  const o: OptionsV1 = { none: false, name: '', controllers: 0 };
  for (const option of data.split(',')) {
    if (option === '') continue;
    if (option === 'none') o.none = true;
    else if (option === 'pids') o.controllers |= PIDS;
    else if (option.startsWith('name=')) {
      const name = option.slice(5);
      if (o.name !== '' || name === '' || name.length >= MAX_NAME || !isName(name)) return -EINVAL;
      o.name = name;
    } else if (option !== 'xattr' && option !== 'clone_children' && option !== 'noprefix') {
      return option.includes('=') ? -EINVAL : -ENOENT;
    }
  }
  if (o.none ? o.controllers !== 0 : o.controllers === 0 && o.name === '') return -EINVAL;
  return o.none && o.name === '' ? -EINVAL : o;
}

/** "Can't specify an empty name"; "Must match [\w.-]+" */
function isName(name: string): boolean {
  for (const c of name) {
    const word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!word && c !== '.' && c !== '-' && c !== '_') return false;
  }
  return true;
}

/** The hierarchy that the options name, if it is there: found, absent, or in the way. */
function find(all: CgroupHierarchies, o: OptionsV1): Hierarchy | null | number {
  for (const h of all.mounted()) {
    const sameName = o.name !== '' && h.name === o.name;
    if (o.name !== '' && !sameName) continue;
    const wanted = o.controllers !== 0 || o.none;
    if (wanted && h.controllers !== o.controllers) {
      if (sameName) return -EBUSY;
      continue;
    }
    return h;
  }
  return null;
}

export function registerCgroup(env: ProcEnv, ops: CgroupOperations): void {
  const v2 = [...coreFiles(ops), ...controllerFiles(env, ops)];
  const v1 = v1Files(ops);
  const superBlocks = new WeakMap<Hierarchy, CgroupSuperBlock>();
  const superBlockOf = (h: Hierarchy): CgroupSuperBlock => {
    let sb = superBlocks.get(h);
    if (sb === undefined) superBlocks.set(h, (sb = new CgroupSuperBlock(h, h.unified ? v2 : v1)));
    return sb;
  };
  const mountV1 = (t: CallContext, data: string): SuperBlock | number => {
    const ns = namespaceOf(t);
    const o = parseV1(data);
    if (typeof o === 'number') return o;
    const all = ns.hierarchies;
    const found = find(all, o);
    if (typeof found === 'number') return found;
    if (found !== null) return superBlockOf(found);
    // "Hierarchies may only be created in the initial cgroup namespace."
    if (ns.root !== all.initial || !t.creds.has(CAP_SYS_ADMIN)) return -EPERM;
    if (o.controllers === 0 && !o.none) return -EINVAL;
    const made = all.make(o.name, o.controllers);
    return typeof made === 'number' ? made : superBlockOf(made);
  };
  const topmost = (t: CallContext, sb: CgroupSuperBlock): Cgroup => namespaceOf(t).root.groupIn(sb.hierarchy);
  const common = {
    nodev: true,
    owner: (t: CallContext) => namespaceOf(t).owner,
    rootOf: (t: CallContext, sb: SuperBlock) => {
      const cgroupFs = sb as CgroupSuperBlock;
      return cgroupFs.dentryOf(topmost(t, cgroupFs));
    },
  };
  registerFileSystem({
    ...common,
    name: 'cgroup2',
    checkOption: (option) => (OPTIONS_V2.includes(option) ? 0 : -EINVAL),
    mount: (t, _source, _flags, data) => {
      const unknown = data.split(',').some((o) => o !== '' && !OPTIONS_V2.includes(o));
      return unknown || t === null ? -EINVAL : superBlockOf(namespaceOf(t).hierarchies.unified);
    },
  });
  registerFileSystem({
    ...common,
    name: 'cgroup',
    mount: (t, _source, _flags, data) => (t === null ? -EINVAL : mountV1(t, data)),
  });
}
