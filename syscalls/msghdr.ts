/** The struct msghdr of a call (net/socket.c copy_msghdr_from_user), and what else sendmsg(2) and recvmsg(2) have in common. */
import { EBADF, EFAULT, EINVAL, EMSGSIZE, ENOTSOCK } from '../sentry/abi/errno.ts';
import * as S from '../sentry/abi/socket.ts';
import { flags } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { Socket } from '../sentry/socket/socket.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import { fileAt, type IoWait } from './io.ts';
import { importIovec } from './iovec.ts';

export const MSGHDR_SIZE = 56;
export const MMSGHDR_SIZE = 64;
export const UIO_MAXIOV = 1024;
/** net.core.optmem_max */
export const OPTMEM_MAX = 131072;

/** The socket of a call, −EBADF or −ENOTSOCK; kept by the wait if one is in progress. */
export function socketAt(t: Task, fdnum: number): Socket | number {
  if (t.blockState !== null) return (t.blockState as IoWait).file as Socket;
  const f = fileAt(t, fdnum);
  if (f === null) return -EBADF;
  return f instanceof Socket ? f : -ENOTSOCK;
}

// The msghdr in hand. An address of 0: there is none.
export let nameAddr = 0;
export let nameLen = 0;
export let controlAddr = 0;
export let controlLen = 0;

function u64(at: number): number {
  return scratch.u32[at / 4 + 1]! * 0x100000000 + scratch.u32[at / 4]!;
}

let iovAddr = 0;
let iovLen = 0;

/** Takes in the msghdr at `addr`. 0 or −errno. */
export function readMsghdr(t: Task, addr: number): number {
  if (t.mem.copyIn(addr, scratch.bytes, 0, MSGHDR_SIZE) !== 0) return -EFAULT;
  nameAddr = u64(0);
  nameLen = scratch.i32[2]!;
  iovAddr = u64(16);
  iovLen = u64(24);
  controlAddr = u64(32);
  controlLen = u64(40);
  if (nameLen < 0) return -EINVAL;
  if (nameAddr === 0) nameLen = 0;
  nameLen = Math.min(nameLen, S.SOCKADDR_MAX);
  return 0;
}

/** Imports the ranges of the msghdr in hand, after what its name is. 0 or −errno. */
export function importMsghdr(t: Task): number {
  if (iovLen > UIO_MAXIOV) return -EMSGSIZE;
  return importIovec(t, iovAddr, iovLen);
}

/** Flags of all these calls. */
export const MSG = flags({
  MSG_OOB: S.MSG_OOB,
  MSG_PEEK: S.MSG_PEEK,
  MSG_TRUNC: S.MSG_TRUNC,
  MSG_DONTWAIT: S.MSG_DONTWAIT,
  MSG_EOR: S.MSG_EOR,
  MSG_WAITALL: S.MSG_WAITALL,
  MSG_NOSIGNAL: S.MSG_NOSIGNAL,
  MSG_MORE: S.MSG_MORE,
  MSG_WAITFORONE: S.MSG_WAITFORONE,
  MSG_CMSG_CLOEXEC: S.MSG_CMSG_CLOEXEC,
});
