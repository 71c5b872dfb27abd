/** statmount(2), listmount(2) (fs/namespace.c). */
import { E2BIG, EFAULT, EINVAL, ENOENT, EOVERFLOW, EPERM } from '../sentry/abi/errno.ts';
import { major, minor } from '../sentry/abi/device.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { CAP_SYS_ADMIN } from '../sentry/auth/capability.ts';
import { hex, ptr, size, type SysResult, type SyscallRow } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { PAGE_SIZE, TASK_SIZE } from '../sentry/lib/addr.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import type { Path } from '../sentry/vfs/dentry.ts';
import { isPathBelow, topOf, type MountNamespace } from '../sentry/vfs/mount-namespace.ts';
import * as M from '../sentry/vfs/mount.ts';
import { dominating } from '../sentry/vfs/propagation.ts';
import { mountRootName, pathName } from '../sentry/vfs/path-name.ts';
import { attributesOf } from './fs-context.ts';
import { MNT_UNIQUE_ID_OFFSET } from './stat-buf.ts';

// struct mnt_id_req: size, spare, mnt_id, param, mnt_ns_id
const MNT_ID_REQ_SIZE_VER0 = 24;
const MNT_ID_REQ_SIZE_VER1 = 32;
const LSMT_ROOT_HALF = 0xffffffff;

interface Request {
  /** Unique id, −1: LSMT_ROOT. */
  id: number;
  param: number;
  /** Its lower half. */
  paramLo: number;
  /** Number of the mount namespace, 0: the caller's own. */
  ns: number;
}

/** copy_mnt_id_req() */
function copyRequest(t: Task, addr: number): Request | number {
  if (t.mem.readU32(addr) !== 0) return -EFAULT;
  const len = scratch.u32[0]!;
  if (len > PAGE_SIZE) return -E2BIG;
  if (len < MNT_ID_REQ_SIZE_VER0) return -EINVAL;
  const bad = t.mem.copyInStruct(addr, len, MNT_ID_REQ_SIZE_VER1);
  if (bad !== 0) return bad;
  const w = scratch.u32;
  if (w[1] !== 0) return -EINVAL;
  const root = w[2] === LSMT_ROOT_HALF && w[3] === LSMT_ROOT_HALF;
  const id = root ? -1 : w[3]! * 0x100000000 + w[2]!;
  // "The first valid unique mount id is MNT_UNIQUE_ID_OFFSET + 1."
  if (!root && id <= MNT_UNIQUE_ID_OFFSET) return -EINVAL;
  return { id, param: w[5]! * 0x100000000 + w[4]!, paramLo: w[4]!, ns: w[7]! * 0x100000000 + w[6]! };
}

const uniqueId = (m: M.Mount): number => m.id + MNT_UNIQUE_ID_OFFSET;

/** grab_requested_mnt_ns(), and who may ask about another namespace than the own one: else −`refusal`. */
function namespaceFor(t: Task, number: number, refusal: number): MountNamespace | number {
  const own = t.fs.root.mount.ns;
  const ns = number === 0 ? own : own?.family.get(number);
  if (ns === undefined || ns === null) return -ENOENT;
  return ns === own || t.creds.hasIn(CAP_SYS_ADMIN, ns.owner) ? ns : -refusal;
}

/** grab_requested_root(): what counts as the top of a namespace, for the caller's own one its root directory. */
function rootFor(t: Task, ns: MountNamespace): Path {
  return ns === t.fs.root.mount.ns ? t.fs.root : topOf({ mount: ns.root, dentry: ns.root.root });
}

const reachable = (m: M.Mount, root: Path): boolean => isPathBelow({ mount: m, dentry: m.root }, root);

const STATMOUNT_SB_BASIC = 0x1;
const STATMOUNT_MNT_BASIC = 0x2;
const STATMOUNT_PROPAGATE_FROM = 0x4;
const STATMOUNT_MNT_ROOT = 0x8;
const STATMOUNT_MNT_POINT = 0x10;
const STATMOUNT_FS_TYPE = 0x20;
const STATMOUNT_MNT_NS_ID = 0x40;
const STATMOUNT_MNT_OPTS = 0x80;
const STATMOUNT_SB_SOURCE = 0x200;
const STATMOUNT_OPT_ARRAY = 0x400;
const STATMOUNT_SUPPORTED_MASK = 0x1000;
const SUPPORTED =
  STATMOUNT_SB_BASIC |
  STATMOUNT_MNT_BASIC |
  STATMOUNT_PROPAGATE_FROM |
  STATMOUNT_MNT_ROOT |
  STATMOUNT_MNT_POINT |
  STATMOUNT_FS_TYPE |
  STATMOUNT_MNT_NS_ID |
  STATMOUNT_MNT_OPTS |
  STATMOUNT_SB_SOURCE |
  STATMOUNT_OPT_ARRAY |
  STATMOUNT_SUPPORTED_MASK;
const STATMOUNT_SIZE = 512;

function sysStatmount(t: Task, a: SyscallArgs): SysResult {
  if (a.uint(3) !== 0) return -EINVAL;
  const req = copyRequest(t, a.addr(0));
  if (typeof req === 'number') return req;
  const ns = namespaceFor(t, req.ns, EPERM);
  if (typeof ns === 'number') return ns;
  const room = a.size(2);
  if (a.addr(1) + room > TASK_SIZE) return -EFAULT;
  const m = ns.mounts().find((x) => uniqueId(x) === req.id);
  if (m === undefined) return -ENOENT;
  const root = rootFor(t, ns);
  if (!reachable(m, root) && !t.creds.hasIn(CAP_SYS_ADMIN, ns.owner)) return -EPERM;
  const out = describe(m, ns, root, req.paramLo);
  if (out.length > STATMOUNT_SIZE && room < out.length) return -EOVERFLOW;
  const n = Math.min(room, out.length);
  return t.mem.copyOut(a.addr(1), out, 0, n) !== 0 ? -EFAULT : 0;
}

/** struct statmount with its strings. */
function describe(m: M.Mount, ns: MountNamespace, root: Path, mask: number): Buffer {
  const b = Buffer.alloc(STATMOUNT_SIZE);
  const u64 = (at: number, v: number): void => {
    b.writeUInt32LE(v >>> 0, at);
    b.writeUInt32LE(Math.floor(v / 0x100000000), at + 4);
  };
  let told = 0;
  let strings = '';
  const wants = (bit: number): boolean => {
    if ((mask & bit) === 0) return false;
    told |= bit;
    return true;
  };
  const string = (at: number, s: string): void => {
    b.writeUInt32LE(strings.length, at);
    strings += `${s}\0`;
  };
  const { sb } = m;
  if (wants(STATMOUNT_SB_BASIC)) {
    const st = sb.statfs();
    b.writeUInt32LE(major(sb.dev), 16);
    b.writeUInt32LE(minor(sb.dev), 20);
    u64(24, typeof st === 'number' ? 0 : st.type);
    b.writeUInt32LE(sb.flags | (sb.readOnly ? M.MS_RDONLY : 0), 32);
  }
  if (wants(STATMOUNT_MNT_BASIC)) {
    const parent = m.parent ?? m;
    u64(40, uniqueId(m));
    u64(48, uniqueId(parent));
    b.writeUInt32LE(m.id, 56);
    b.writeUInt32LE(parent.id, 60);
    u64(64, attributesOf(m.flags));
    u64(72, propagationOf(m));
    u64(80, m.group?.id ?? 0);
    u64(88, m.master?.id ?? 0);
  }
  if (wants(STATMOUNT_PROPAGATE_FROM)) u64(96, m.master === null ? 0 : (dominating(m.master, m)?.id ?? 0));
  if (wants(STATMOUNT_FS_TYPE)) string(36, sb.fsType);
  if (wants(STATMOUNT_MNT_ROOT)) string(104, mountRootName(m));
  if (wants(STATMOUNT_MNT_POINT)) string(108, pathName({ mount: m, dentry: m.root }, root));
  if (wants(STATMOUNT_MNT_NS_ID)) u64(112, ns.number);
  const options = sb.options().slice(1);
  if (options !== '' && wants(STATMOUNT_MNT_OPTS)) string(4, options);
  if (m.source !== '' && wants(STATMOUNT_SB_SOURCE)) string(124, m.source);
  if (options !== '' && wants(STATMOUNT_OPT_ARRAY)) {
    const each = options.split(',');
    b.writeUInt32LE(each.length, 128);
    string(132, each.join('\0'));
  }
  if (wants(STATMOUNT_SUPPORTED_MASK)) u64(144, SUPPORTED);
  u64(8, told);
  const all = Buffer.concat([b, Buffer.from(strings, 'latin1')]);
  all.writeUInt32LE(all.length, 0);
  return all;
}

function propagationOf(m: M.Mount): number {
  let kind = m.group !== null ? M.MS_SHARED : 0;
  if (m.master !== null) kind |= M.MS_SLAVE;
  if (m.unbindable) kind |= M.MS_UNBINDABLE;
  return kind === 0 ? M.MS_PRIVATE : kind;
}

const LISTMOUNT_REVERSE = 1;
const MAX_IDS = 1_000_000;

function sysListmount(t: Task, a: SyscallArgs): SysResult {
  const flags = a.uint(3);
  const count = a.size(2);
  if ((flags & ~LISTMOUNT_REVERSE) !== 0) return -EINVAL;
  if (count > MAX_IDS) return -EOVERFLOW;
  if (a.addr(1) + 8 * count > TASK_SIZE) return -EFAULT;
  const req = copyRequest(t, a.addr(0));
  if (typeof req === 'number') return req;
  if (req.param !== 0 && req.param <= MNT_UNIQUE_ID_OFFSET) return -EINVAL;
  const ns = namespaceFor(t, req.ns, ENOENT);
  if (typeof ns === 'number') return ns;
  const all = ns.mounts();
  const root = rootFor(t, ns);
  const top = req.id < 0 ? root.mount : all.find((m) => uniqueId(m) === req.id);
  if (top === undefined) return -ENOENT;
  const place = req.id < 0 ? root : { mount: top, dentry: top.root };
  if (!reachable(top, root) && !t.creds.hasIn(CAP_SYS_ADMIN, ns.owner)) return -EPERM;
  const reverse = (flags & LISTMOUNT_REVERSE) !== 0;
  const after = (id: number): boolean => req.param === 0 || (reverse ? id < req.param : id > req.param);
  const ids = all
    .filter((m) => m !== top && isPathBelow({ mount: m, dentry: m.root }, place))
    .map(uniqueId)
    .filter(after)
    .sort((x, y) => (reverse ? y - x : x - y))
    .slice(0, count);
  const out = Buffer.alloc(8 * ids.length);
  ids.forEach((id, i) => {
    out.writeUInt32LE(id >>> 0, 8 * i);
    out.writeUInt32LE(Math.floor(id / 0x100000000), 8 * i + 4);
  });
  return t.mem.copyOut(a.addr(1), out, 0, out.length) !== 0 ? -EFAULT : ids.length;
}

export const mountQueryRows: readonly SyscallRow[] = [
  {
    nr: 457,
    name: 'statmount',
    fn: sysStatmount,
    args: [ptr, ptr, size, hex],
    support: 'full',
  },
  {
    nr: 458,
    name: 'listmount',
    fn: sysListmount,
    args: [ptr, ptr, size, hex],
    support: 'full',
  },
];
