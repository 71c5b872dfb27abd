/** Sockets (io_uring/net.c), by the handlers of their system calls. */
import { ECANCELED, EINVAL } from '../../sentry/abi/errno.ts';
import { O_CLOEXEC, O_NONBLOCK } from '../../sentry/abi/fcntl.ts';
import * as U from '../../sentry/abi/io-uring.ts';
import { MSG_NOSIGNAL, MSG_WAITALL, SOCK_CLOEXEC, SOCK_NONBLOCK } from '../../sentry/abi/socket.ts';
import type { SysResult } from '../../sentry/kernel/syscall-table.ts';
import type { Task } from '../../sentry/kernel/task.ts';
import { EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLRDHUP, EPOLLRDNORM } from '../../sentry/waiter/wait-queue.ts';
import { bufferFlags, dropBuffer, selectBuffer } from './buffers.ts';
import {
  ADDR,
  anySet,
  BUF_INDEX,
  FILE,
  FILE_INDEX,
  FLAGS,
  installDirectly,
  LEN,
  NOTHING,
  OFF,
  OFF_LOW,
  ownRow,
  setArg,
  setArgs,
  type Arg,
} from './op-calls.ts';
import type { Op } from './op.ts';
import type { Request } from './request.ts';

const NR_CONNECT = 42;
const NR_SENDTO = 44;
const NR_RECVFROM = 45;
const NR_SENDMSG = 46;
const NR_RECVMSG = 47;
const NR_ACCEPT4 = 288;

/** The call is made as if the socket were a blocking one: O_NONBLOCK means nothing to io_uring, only flags of the entry do. */
function waiting(t: Task, r: Request, nr: number, nonBlock = false): SysResult {
  const f = r.file!;
  const own = f.flags & O_NONBLOCK;
  f.flags = nonBlock ? f.flags | O_NONBLOCK : f.flags & ~O_NONBLOCK;
  const result = t.kernel.table[nr]!.fn(t, t.args);
  f.flags = (f.flags & ~O_NONBLOCK) | own;
  return result;
}

interface SocketOptions {
  readonly zero: readonly Arg[];
  /** Bits of sqe->ioprio that are known. */
  readonly prio?: number;
  readonly selectsBuffer?: boolean;
  readonly check?: (r: Request) => number;
  readonly adjust?: (r: Request, t: Task) => void;
  readonly run?: (t: Task, r: Request) => SysResult;
}

function socketOp(name: string, nr: number, args: readonly Arg[], o: SocketOptions): Op {
  const row = ownRow(name, o.run ?? ((t, r) => waiting(t, r, nr)));
  return {
    name,
    needsFile: true,
    usesPrio: o.prio !== undefined,
    selectsBuffer: o.selectsBuffer === true,
    prep(r) {
      if (anySet(r, o.zero)) return -EINVAL;
      return (r.prio & ~(o.prio ?? 0)) !== 0 ? -EINVAL : (o.check?.(r) ?? 0);
    },
    begin(r, t) {
      setArgs(r, t, args);
      o.adjust?.(r, t);
      return row;
    },
  };
}

export const CONNECT = socketOp('CONNECT', NR_CONNECT, [FILE, ADDR, OFF_LOW], {
  zero: [LEN, BUF_INDEX, FLAGS, FILE_INDEX],
});

export const ACCEPT: Op = {
  ...socketOp('ACCEPT', NR_ACCEPT4, [FILE, ADDR, OFF, FLAGS], {
    zero: [LEN, BUF_INDEX],
    prio: U.IORING_ACCEPT_MULTISHOT | U.IORING_ACCEPT_DONTWAIT | U.IORING_ACCEPT_POLL_FIRST,
    check(r) {
      if ((r.opFlags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) !== 0) return -EINVAL;
      if (r.fileIndex === 0) return 0;
      const isMulti = (r.prio & U.IORING_ACCEPT_MULTISHOT) !== 0;
      const isFixed = isMulti && r.fileIndex !== U.IORING_FILE_INDEX_ALLOC;
      return isFixed || (r.opFlags & O_CLOEXEC) !== 0 ? -EINVAL : 0;
    },
    adjust: installDirectly,
    run: (t, r) => waiting(t, r, NR_ACCEPT4, (r.prio & U.IORING_ACCEPT_DONTWAIT) !== 0),
  }),
  goesOn: (r, result) => result >= 0 && (r.prio & U.IORING_ACCEPT_MULTISHOT) !== 0,
};

const noSignal = (r: Request, t: Task): void => setArg(t, 3, (r.opFlags | MSG_NOSIGNAL) >>> 0);

export const SEND = socketOp('SEND', NR_SENDTO, [FILE, ADDR, LEN, NOTHING, OFF], {
  zero: [],
  prio: U.IORING_RECVSEND_POLL_FIRST,
  adjust(r, t) {
    noSignal(r, t);
    // addr_len
    setArg(t, 5, r.sqe[FILE_INDEX]! & 0xffff);
  },
});

export const SENDMSG = socketOp('SENDMSG', NR_SENDMSG, [FILE, ADDR], {
  zero: [OFF, FILE_INDEX],
  prio: U.IORING_RECVSEND_POLL_FIRST,
  adjust: (r, t) => setArg(t, 2, (r.opFlags | MSG_NOSIGNAL) >>> 0),
});

const RECV_PRIO = U.IORING_RECVSEND_POLL_FIRST | U.IORING_RECV_MULTISHOT;

function checkRecv(r: Request): number {
  if ((r.prio & U.IORING_RECV_MULTISHOT) === 0) return 0;
  return !r.has(U.IOSQE_BUFFER_SELECT) || (r.opFlags & MSG_WAITALL) !== 0 ? -EINVAL : 0;
}

const READ_EVENTS = EPOLLIN | EPOLLRDNORM | EPOLLERR | EPOLLHUP | EPOLLRDHUP;
/** State of a multishot RECV that has received. */
const SHOT = {};

/** Into a provided buffer, if that is wanted: taken now, and given back if there is nothing to receive. */
function receive(t: Task, r: Request): SysResult {
  const selects = r.has(U.IOSQE_BUFFER_SELECT);
  // After the first time a buffer is looked for only when there is something for it.
  if (r.state === SHOT && (r.file!.poll() & READ_EVENTS) === 0) {
    t.waitOn(r.file!.waiters, READ_EVENTS);
    return t.block(Infinity, -ECANCELED);
  }
  if (selects) {
    const b = selectBuffer(r, t, r.len);
    if (typeof b === 'number') {
      (t.blockState as { release(): void } | null)?.release();
      return b;
    }
    setArg(t, 1, b.addr >>> 0, Math.floor(b.addr / 0x100000000));
    setArg(t, 2, b.len);
  }
  const n = waiting(t, r, NR_RECVFROM);
  if (selects && n <= 0) dropBuffer(r);
  return n;
}

export const RECV: Op = {
  ...socketOp('RECV', NR_RECVFROM, [FILE, ADDR, LEN, FLAGS], {
    zero: [OFF, FILE_INDEX],
    prio: RECV_PRIO,
    selectsBuffer: true,
    check(r) {
      return (r.prio & U.IORING_RECV_MULTISHOT) !== 0 && r.len !== 0 ? -EINVAL : checkRecv(r);
    },
    run: receive,
  }),
  goesOn(r, result) {
    if (result <= 0 || (r.prio & U.IORING_RECV_MULTISHOT) === 0) return false;
    r.state = SHOT;
    return true;
  },
  failed: (r, result) => result < 0 || ((r.opFlags & MSG_WAITALL) !== 0 && result < r.len),
  cqeFlags: bufferFlags,
  end: dropBuffer,
};

export const RECVMSG: Op = {
  ...socketOp('RECVMSG', NR_RECVMSG, [FILE, ADDR, FLAGS], {
    zero: [OFF, FILE_INDEX],
    prio: U.IORING_RECVSEND_POLL_FIRST,
  }),
};
