/**
 * NUMA memory policies (mm/mempolicy.c; set_mempolicy(2)) of a machine with one node: they are kept and told back, and every
 * page is on node 0 whatever they say.
 */
import { EINVAL } from '../abi/errno.ts';

export const MPOL_DEFAULT = 0;
export const MPOL_PREFERRED = 1;
export const MPOL_BIND = 2;
export const MPOL_INTERLEAVE = 3;
export const MPOL_LOCAL = 4;
export const MPOL_PREFERRED_MANY = 5;
export const MPOL_WEIGHTED_INTERLEAVE = 6;
const MPOL_MAX = 7;

export const MPOL_F_STATIC_NODES = 1 << 15;
export const MPOL_F_RELATIVE_NODES = 1 << 14;
export const MPOL_F_NUMA_BALANCING = 1 << 13;
export const MPOL_MODE_FLAGS = MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES | MPOL_F_NUMA_BALANCING;

/** Nodes that have memory: the first one. */
export const NODES_WITH_MEMORY = 1;

/** A set of nodes: the first 64, and whether there are others in it, which are not kept. */
export interface NodeMask {
  lo: number;
  hi: number;
  more: boolean;
}

export interface MemPolicy {
  readonly mode: number;
  readonly flags: number;
  /** The nodes as get_mempolicy(2) tells them: low and high word. */
  readonly lo: number;
  readonly hi: number;
}

/** Equal policies are one object, so that VMAs can compare them. There are few: one node, six modes, three flags. */
const interned = new Map<string, MemPolicy>();
const MAX_INTERNED = 4096;

function intern(mode: number, flags: number, lo: number, hi: number): MemPolicy {
  const key = `${mode} ${flags} ${lo} ${hi}`;
  let p = interned.get(key);
  if (p === undefined) {
    p = { mode, flags, lo, hi };
    if (interned.size < MAX_INTERNED) interned.set(key, p);
  }
  return p;
}

/** sanitize_mpol_flags(): 0 or −EINVAL. */
export function checkMode(modeAndFlags: number): number {
  const flags = modeAndFlags & MPOL_MODE_FLAGS;
  const mode = modeAndFlags & ~MPOL_MODE_FLAGS;
  if (mode < 0 || mode >= MPOL_MAX) return -EINVAL;
  const both = MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES;
  if ((flags & both) === both) return -EINVAL;
  if ((flags & MPOL_F_NUMA_BALANCING) !== 0 && mode !== MPOL_BIND && mode !== MPOL_PREFERRED_MANY)
    return -EINVAL;
  return 0;
}

/** mpol_new() and mpol_set_nodemask(): a policy, null for the default one, or −EINVAL. */
export function makePolicy(modeAndFlags: number, nodes: NodeMask): MemPolicy | null | number {
  const flags = modeAndFlags & MPOL_MODE_FLAGS;
  const mode = modeAndFlags & ~MPOL_MODE_FLAGS;
  const empty = nodes.lo === 0 && nodes.hi === 0 && !nodes.more;
  if (mode === MPOL_DEFAULT) return empty ? null : -EINVAL;
  if (mode === MPOL_LOCAL) return empty && flags === 0 ? intern(MPOL_LOCAL, 0, 0, 0) : -EINVAL;
  if (empty) {
    if (mode !== MPOL_PREFERRED || (flags & (MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES)) !== 0)
      return -EINVAL;
    return intern(MPOL_LOCAL, 0, 0, 0);
  }
  // Relative nodes are counted round the nodes there are.
  const relative = (flags & MPOL_F_RELATIVE_NODES) !== 0;
  if (!relative && (nodes.lo & NODES_WITH_MEMORY) === 0) return -EINVAL;
  const asGiven = (flags & (MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES)) !== 0;
  return asGiven ? intern(mode, flags, nodes.lo, nodes.hi) : intern(mode, flags, NODES_WITH_MEMORY, 0);
}
