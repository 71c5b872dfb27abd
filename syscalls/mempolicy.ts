/** get_mempolicy, set_mempolicy, mbind, set_mempolicy_home_node, migrate_pages, move_pages on one node (mm/mempolicy.c, mm/migrate.c). */
import { EFAULT, EINVAL, ENODEV, ENOENT, EOPNOTSUPP, EPERM, ESRCH } from '../sentry/abi/errno.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { CAP_SYS_NICE } from '../sentry/auth/capability.ts';
import { mayTrace } from '../sentry/fsimpl/proc/access.ts';
import {
  hex,
  int,
  pid,
  ptr,
  size,
  uint,
  ulong,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { ADDRESS_LIMIT, isPageAligned, pageAlign, pageDown, TASK_SIZE } from '../sentry/lib/addr.ts';
import {
  checkMode,
  makePolicy,
  MPOL_BIND,
  MPOL_DEFAULT,
  MPOL_INTERLEAVE,
  MPOL_PREFERRED_MANY,
  MPOL_WEIGHTED_INTERLEAVE,
  NODES_WITH_MEMORY,
  type MemPolicy,
  type NodeMask,
} from '../sentry/mm/mempolicy.ts';
import type { MemoryManager } from '../sentry/mm/memory-manager.ts';
import { pagesOf } from '../sentry/mm/residency.ts';
import { PAGE_PRESENT, PAGE_ZERO } from '../sentry/platform/platform.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';

/** MAX_NUMNODES: what a mask may name (CONFIG_NODES_SHIFT=10). */
const MAX_NUMNODES = 1024;
const NR_NODE_IDS = 1;
const MAX_MASK_BITS = 4096 * 8;

const mask: NodeMask = { lo: 0, hi: 0, more: false };

/** get_nodes(): `maxNode` is one more than the number of bits, of which there are too many for 0. 0 or −errno. */
function getNodes(t: Task, addr: number, maxNode: number): number {
  mask.lo = mask.hi = 0;
  mask.more = false;
  const bits = maxNode - 1;
  if (bits === 0 || addr === 0) return 0;
  if (bits < 0 || bits > MAX_MASK_BITS) return -EINVAL;
  const len = Math.ceil(bits / 64) * 8;
  if (t.mem.copyIn(addr, scratch.bytes, 0, len) !== 0) return -EFAULT;
  for (let i = 2; i < len / 4; i++) {
    if (scratch.u32[i] === 0) continue;
    // Whole words that are beyond all nodes; of others only the bits that there are.
    if (i >= MAX_NUMNODES / 32) return -EINVAL;
    const room = bits - 32 * i;
    mask.more ||= room >= 32 || (room > 0 && (scratch.u32[i]! & (2 ** room - 1)) !== 0);
  }
  mask.lo = scratch.u32[0]!;
  mask.hi = scratch.u32[1]!;
  if (bits < 64) {
    if (bits <= 32) mask.hi = 0;
    else mask.hi &= 2 ** (bits - 32) - 1;
    if (bits < 32) mask.lo &= 2 ** bits - 1;
  }
  mask.lo >>>= 0;
  mask.hi >>>= 0;
  return 0;
}

/** copy_nodes_to_user() */
function putNodes(t: Task, addr: number, maxNode: number, lo: number, hi: number): number {
  const len = Math.ceil((maxNode - 1) / 64) * 8;
  if (len > 4096) return -EINVAL;
  scratch.bytes.fill(0, 0, len);
  if (len >= 8) {
    scratch.u32[0] = lo;
    scratch.u32[1] = hi;
  }
  return t.mem.copyOut(addr, scratch.bytes, 0, len);
}

const MPOL_F_NODE = 1;
const MPOL_F_ADDR = 2;
const MPOL_F_MEMS_ALLOWED = 4;

function sysGetMempolicy(t: Task, a: SyscallArgs): SysResult {
  const modeAddr = a.addr(0);
  const nodesAddr = a.addr(1);
  const maxNode = a.size(2);
  const flags = a.size(4) > 0xffffffff ? 0xffffffff : a.uint(4);
  if (nodesAddr !== 0 && maxNode < NR_NODE_IDS) return -EINVAL;
  const found = lookUp(t, a.addr(3), flags);
  if (found < 0) return found;
  if (modeAddr !== 0 && t.mem.writeU32(modeAddr, told.mode) !== 0) return -EFAULT;
  return nodesAddr === 0 ? 0 : putNodes(t, nodesAddr, maxNode, told.lo, told.hi);
}

const told = { mode: 0, lo: 0, hi: 0 };

/** do_get_mempolicy(): fills `told`. */
function lookUp(t: Task, addr: number, flags: number): number {
  if ((flags & ~(MPOL_F_NODE | MPOL_F_ADDR | MPOL_F_MEMS_ALLOWED)) !== 0) return -EINVAL;
  if ((flags & MPOL_F_MEMS_ALLOWED) !== 0) {
    if ((flags & (MPOL_F_NODE | MPOL_F_ADDR)) !== 0) return -EINVAL;
    told.mode = 0;
    told.lo = NODES_WITH_MEMORY;
    told.hi = 0;
    return 0;
  }
  let policy: MemPolicy | null = t.mempolicy;
  if ((flags & MPOL_F_ADDR) !== 0) {
    const v = t.mm.table.find(addr);
    if (v === null) return -EFAULT;
    policy = v.policy;
  } else if (addr !== 0) return -EINVAL;
  told.lo = policy?.lo ?? 0;
  told.hi = policy?.hi ?? 0;
  told.mode = policy === null ? MPOL_DEFAULT : policy.mode | policy.flags;
  if ((flags & MPOL_F_NODE) === 0) return 0;
  const interleaves = policy?.mode === MPOL_INTERLEAVE || policy?.mode === MPOL_WEIGHTED_INTERLEAVE;
  if ((flags & MPOL_F_ADDR) === 0 && !interleaves) return -EINVAL;
  told.mode = 0;
  return 0;
}

/** The policy that mode and mask arguments describe; −errno. */
function policyOf(t: Task, mode: number, nodesAddr: number, maxNode: number): MemPolicy | null | number {
  const bad = checkMode(mode) || getNodes(t, nodesAddr, maxNode);
  return bad !== 0 ? bad : makePolicy(mode, mask);
}

function sysSetMempolicy(t: Task, a: SyscallArgs): SysResult {
  const policy = policyOf(t, a.int(0), a.addr(1), a.size(2));
  if (typeof policy === 'number') return policy;
  t.mempolicy = policy;
  return 0;
}

const MPOL_MF_STRICT = 1;
const MPOL_MF_MOVE = 2;
const MPOL_MF_MOVE_ALL = 4;

function sysMbind(t: Task, a: SyscallArgs): SysResult {
  const start = a.addr(0);
  const mode = a.int(2);
  const flags = a.uint(5);
  const bad = checkMode(mode) || getNodes(t, a.addr(3), a.size(4));
  if (bad !== 0) return bad;
  if ((flags & ~(MPOL_MF_STRICT | MPOL_MF_MOVE | MPOL_MF_MOVE_ALL)) !== 0) return -EINVAL;
  if ((flags & MPOL_MF_MOVE_ALL) !== 0 && !t.creds.has(CAP_SYS_NICE)) return -EPERM;
  if (!isPageAligned(start)) return -EINVAL;
  const len = pageAlign(a.size(1));
  const end = start + len;
  if (end >= ADDRESS_LIMIT) return -EINVAL;
  if (len === 0) return 0;
  const policy = makePolicy(mode, mask);
  if (typeof policy === 'number') return policy;
  // The default policy may be given to what is mapped of the range, others to a whole one.
  const stop = t.mm.table.firstHole(start, end);
  if (stop < end && policy !== null) return -EFAULT;
  if (t.mm.table.isFree(start, end)) return -EFAULT;
  if (!t.mm.mayAddVmas(2)) return -EFAULT;
  t.mm.changeVmas(start, end, (v) => (v.policy = policy));
  return 0;
}

function sysSetMempolicyHomeNode(t: Task, a: SyscallArgs): SysResult {
  const start = a.addr(0);
  if (!isPageAligned(start) || a.size(3) !== 0) return -EINVAL;
  if (a.size(2) >= NR_NODE_IDS) return -EINVAL;
  const len = pageAlign(a.size(1));
  if (start + len >= ADDRESS_LIMIT) return -EINVAL;
  if (len === 0) return 0;
  let result = -ENOENT;
  t.mm.table.forEachIn(start, start + len, (v) => {
    if (v.policy === null || result === -EOPNOTSUPP) return;
    const fits = v.policy.mode === MPOL_BIND || v.policy.mode === MPOL_PREFERRED_MANY;
    result = fits ? 0 : -EOPNOTSUPP;
  });
  return result;
}

/** Whose pages are meant: the task, or −ESRCH, −EPERM. */
function ownerOfPages(t: Task, nr: number): Task | number {
  if (nr === 0) return t;
  const other = t.pidNs.findTask(nr);
  if (other === null) return -ESRCH;
  if (!mayTrace(t, other)) return -EPERM;
  return other;
}

/** migrate_pages(2): the pages that could not be moved, none: they are all where they shall be. */
function sysMigratePages(t: Task, a: SyscallArgs): SysResult {
  const maxNode = a.size(1);
  const badOld = getNodes(t, a.addr(2), maxNode);
  if (badOld !== 0) return badOld;
  const badNew = getNodes(t, a.addr(3), maxNode);
  if (badNew !== 0) return badNew;
  const other = ownerOfPages(t, a.int(0));
  if (typeof other === 'number') return other;
  if (((mask.lo & ~NODES_WITH_MEMORY) !== 0 || mask.hi !== 0 || mask.more) && !t.creds.has(CAP_SYS_NICE))
    return -EPERM;
  // Whoever has ended has no memory.
  return (mask.lo & NODES_WITH_MEMORY) === 0 || other.dead ? -EINVAL : 0;
}

/** Pages handled between two looks at the caller's lists. */
const CHUNK = 1024;

/** move_pages(2): what is in memory is on node 0. */
function sysMovePages(t: Task, a: SyscallArgs): SysResult {
  const flags = a.int(5);
  if ((flags & ~(MPOL_MF_MOVE | MPOL_MF_MOVE_ALL)) !== 0) return -EINVAL;
  if ((flags & MPOL_MF_MOVE_ALL) !== 0 && !t.creds.has(CAP_SYS_NICE)) return -EPERM;
  const other = ownerOfPages(t, a.int(0));
  if (typeof other === 'number') return other;
  if (other.dead) return -EINVAL;
  const count = a.size(1);
  const [pages, nodes, status] = [a.addr(2), a.addr(3), a.addr(4)];
  for (let done = 0; done < count; done += CHUNK) {
    const n = Math.min(CHUNK, count - done);
    const r = locatePages(
      t,
      other,
      pages + 8 * done,
      nodes === 0 ? 0 : nodes + 4 * done,
      status + 4 * done,
      n,
    );
    if (r !== 0) return r;
  }
  return 0;
}

const page = new Uint8Array(1);

/** do_pages_stat_array(): the node, −ENOENT for a page that is not there, −EFAULT for no mapping and the page of zeros. */
function statusOf(mm: MemoryManager, addr: number): number {
  const v = addr < TASK_SIZE ? mm.table.find(addr) : null;
  if (v === null) return -EFAULT;
  pagesOf(mm, v, pageDown(addr), 1, page, 0);
  return page[0] === PAGE_PRESENT ? 0 : page[0] === PAGE_ZERO ? -EFAULT : -ENOENT;
}

const lists = Buffer.alloc(CHUNK * 12);
const answers = Buffer.alloc(CHUNK * 4);
/** DO_PAGES_STAT_CHUNK_NR: without nodes, pages are looked up so many at a time. */
const STAT_CHUNK = 16;

/** Entry by entry up to the first bad one, or one that cannot be read; what was found out before is told. */
function locatePages(t: Task, other: Task, pages: number, nodes: number, status: number, n: number): number {
  let there = Math.floor(t.mem.copyInPartial(pages, lists, 0, 8 * n) / 8);
  if (nodes !== 0)
    there = Math.min(there, Math.floor(t.mem.copyInPartial(nodes, lists, CHUNK * 8, 4 * n) / 4));
  else if (there < n) there -= there % STAT_CHUNK;
  let refused = there < n ? -EFAULT : 0;
  let i = 0;
  for (; i < there; i++) {
    const node = nodes === 0 ? 0 : lists.readInt32LE(CHUNK * 8 + 4 * i);
    if (node < 0 || node >= MAX_NUMNODES || node >= NR_NODE_IDS) {
      refused = -ENODEV;
      break;
    }
    const addr = lists.readUInt32LE(8 * i + 4) * 0x100000000 + lists.readUInt32LE(8 * i);
    answers.writeInt32LE(statusOf(other.mm, addr), 4 * i);
  }
  if (i > 0 && t.mem.copyOut(status, answers, 0, 4 * i) !== 0) return -EFAULT;
  return refused;
}

const oneNode = 'there is one node: policies are kept and told back';

export const mempolicyRows: readonly SyscallRow[] = [
  {
    nr: 237,
    name: 'mbind',
    fn: sysMbind,
    args: [hex, size, int, ptr, ulong, uint],
    support: 'partial',
    note: oneNode,
  },
  {
    nr: 238,
    name: 'set_mempolicy',
    fn: sysSetMempolicy,
    args: [int, ptr, ulong],
    support: 'partial',
    note: oneNode,
  },
  {
    nr: 239,
    name: 'get_mempolicy',
    fn: sysGetMempolicy,
    args: [ptr, ptr, ulong, hex, uint],
    support: 'partial',
    note: oneNode,
  },
  { nr: 256, name: 'migrate_pages', fn: sysMigratePages, args: [pid, ulong, ptr, ptr], support: 'full' },
  {
    nr: 279,
    name: 'move_pages',
    fn: sysMovePages,
    args: [pid, ulong, ptr, ptr, ptr, int],
    support: 'full',
  },
  {
    nr: 450,
    name: 'set_mempolicy_home_node',
    fn: sysSetMempolicyHomeNode,
    args: [hex, size, ulong, ulong],
    support: 'full',
  },
];
