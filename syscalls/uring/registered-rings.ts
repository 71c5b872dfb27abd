/** IORING_REGISTER_RING_FDS: rings that a task names by a small number instead of a descriptor (io_uring/tctx.c). */
import { EBADF, EBUSY, EFAULT, EINVAL, EOPNOTSUPP } from '../../sentry/abi/errno.ts';
import type { Task } from '../../sentry/kernel/task.ts';
import { scratch } from '../../sentry/usermem/user-memory.ts';
import { uringsOf } from './kernel-urings.ts';
import { UringFile } from './uring-file.ts';

/** IO_RINGFD_REG_MAX */
const RINGS_MAX = 16;
/** sizeof(struct io_uring_rsrc_update): offset, resv, data. */
const UPDATE_SIZE = 16;
const ANY = 0xffffffff;

function ringsOf(t: Task): (UringFile | null)[] {
  const { registered } = uringsOf(t.kernel);
  let rings = registered.get(t);
  if (rings === undefined) registered.set(t, (rings = new Array(RINGS_MAX).fill(null) as null[]));
  return rings;
}

/** Registers one: its number or −errno. */
function register(t: Task, rings: (UringFile | null)[], offset: number, fd: number): number {
  const f = t.fdTable.get(fd);
  if (offset !== ANY && offset >= RINGS_MAX) return -EINVAL;
  const at = offset === ANY ? rings.indexOf(null) : offset;
  if (at < 0 || rings[at] !== null) return -EBUSY;
  if (!(f instanceof UringFile)) return f === null ? -EBADF : -EOPNOTSUPP;
  rings[at] = f.ref() as UringFile;
  return at;
}

/** How many of the `nr` structs at `arg` were carried out, or −errno if none. */
export function registerRings(t: Task, arg: number, nr: number): number {
  if (nr === 0 || nr > RINGS_MAX) return -EINVAL;
  const rings = ringsOf(t);
  for (let i = 0; i < nr; i++) {
    const at = arg + i * UPDATE_SIZE;
    let r = t.mem.copyIn(at, scratch.bytes, 0, UPDATE_SIZE) !== 0 ? -EFAULT : 0;
    if (r === 0 && scratch.u32[1] !== 0) r = -EINVAL;
    if (r === 0) r = register(t, rings, scratch.u32[0]!, scratch.i32[2]!);
    if (r < 0) return i > 0 ? i : r;
    if (t.mem.writeU32(at, r) === 0) continue;
    rings[r]!.unref();
    rings[r] = null;
    return i > 0 ? i : -EFAULT;
  }
  return nr;
}

export function unregisterRings(t: Task, arg: number, nr: number): number {
  if (nr === 0 || nr > RINGS_MAX) return -EINVAL;
  const rings = ringsOf(t);
  for (let i = 0; i < nr; i++) {
    let r = t.mem.copyIn(arg + i * UPDATE_SIZE, scratch.bytes, 0, UPDATE_SIZE) !== 0 ? -EFAULT : 0;
    const { u32 } = scratch;
    if (r === 0 && (u32[1] !== 0 || u32[2] !== 0 || u32[3] !== 0 || u32[0]! >= RINGS_MAX)) r = -EINVAL;
    if (r < 0) return i > 0 ? i : r;
    rings[u32[0]!]?.unref();
    rings[u32[0]!] = null;
  }
  return nr;
}
