/**
 * Node's threads beside the one that runs the kernel: V8's compilers and collectors, libuv's pool. Nobody waits for them,
 * while guests wait for the kernel: measured on two CPUs, a compiler kept the kernel or a guest from its CPU for 3 to 6 ms at
 * a time. So they get less of a busy machine. (V8 collects garbage without them: SENTRY_V8_ARGS.)
 */
import { HostBuffer, hold } from '../../sentry/host/memory.ffi.ts';
import { hostSyscall } from '../../sentry/host/sys.ffi.ts';

const NR_SCHED_SETATTR = 314;
const NR_SCHED_GETATTR = 315;
const NR_TGKILL = 234;
const NICE_MORE = 10;
const NICE_MAX = 19;
/** Threads are numbered one after the other in the sandbox's PID namespace, where little else has begun by then. */
const NUMBERS = 64;
/** struct sched_attr (sched_setattr(2)): its size, and its 32-bit words. */
const ATTR_SIZE = 48;
const ATTR_NICE = 4;
const ATTR_RUNTIME = 6;

/** Preconditions: all threads are running, seccomp does not forbid it yet. What cannot be found stays as it is. */
export function lowerHelperThreads(): void {
  const { pid } = process;
  const attr = new HostBuffer(ATTR_SIZE);
  for (let tid = pid + 1; tid < pid + NUMBERS; tid++) {
    if (hostSyscall(NR_TGKILL, pid, tid, 0, 0, 0, 0) !== 0) continue;
    if (hostSyscall(NR_SCHED_GETATTR, tid, attr.addr, ATTR_SIZE, 0, 0, 0) !== 0) continue;
    attr.i32[ATTR_NICE] = Math.min(attr.i32[ATTR_NICE]! + NICE_MORE, NICE_MAX);
    // The usual turns, not the short ones that the kernel's thread has asked for (launcher-turns.c).
    attr.u32[ATTR_RUNTIME] = 0;
    hostSyscall(NR_SCHED_SETATTR, tid, attr.addr, 0, 0, 0, 0);
  }
  hold(attr);
}
