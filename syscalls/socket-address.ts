/** Socket addresses in guest memory (net/socket.c move_addr_to_kernel, move_addr_to_user). */
import { EFAULT, EINVAL } from '../sentry/abi/errno.ts';
import { SOCKADDR_MAX } from '../sentry/abi/socket.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';

/** Private copy of the address, or −errno. */
export function readAddress(t: Task, addr: number, len: number): Uint8Array | number {
  if (len < 0 || len > SOCKADDR_MAX) return -EINVAL;
  const copy = new Uint8Array(len);
  return t.mem.copyIn(addr, copy, 0, len) !== 0 ? -EFAULT : copy;
}

/** Writes as much of `name` as the guest's buffer takes, and its true length to the int at `lenAddr`. */
export function writeAddress(t: Task, addr: number, lenAddr: number, name: Uint8Array): number {
  if (t.mem.readU32(lenAddr) !== 0) return -EFAULT;
  const room = scratch.i32[0]!;
  if (room < 0) return -EINVAL;
  const n = Math.min(room, name.length);
  if (n > 0 && t.mem.copyOut(addr, name, 0, n) !== 0) return -EFAULT;
  return t.mem.writeU32(lenAddr, name.length);
}
