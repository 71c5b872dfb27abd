/**
 * Node's threads beside the one that runs the kernel: V8's compilers and collectors, libuv's pool. Nobody waits for them,
 * while guests wait for the kernel: measured on two CPUs, a compiler kept the kernel or a guest from its CPU for 3 to 6 ms at
 * a time. So they get less of a busy machine. (V8 collects garbage without them: SENTRY_V8_ARGS.)
 */
import { hostSyscall } from '../../sentry/host/sys.ffi.ts';

const NR_GETPRIORITY = 140;
const NR_SETPRIORITY = 141;
const NR_TGKILL = 234;
const PRIO_PROCESS = 0;
const NICE_MORE = 10;
const NICE_MAX = 19;
/** Threads are numbered one after the other in the sandbox's PID namespace, where little else has begun by then. */
const NUMBERS = 64;

/** Preconditions: all threads are running, seccomp does not forbid it yet. What cannot be found stays as it is. */
export function lowerHelperThreads(): void {
  const { pid } = process;
  // The raw call returns 20 − nice.
  const own = 20 - hostSyscall(NR_GETPRIORITY, PRIO_PROCESS, 0, 0, 0, 0, 0);
  for (let tid = pid + 1; tid < pid + NUMBERS; tid++) {
    if (hostSyscall(NR_TGKILL, pid, tid, 0, 0, 0, 0) !== 0) continue;
    hostSyscall(NR_SETPRIORITY, PRIO_PROCESS, tid, Math.min(own + NICE_MORE, NICE_MAX), 0, 0, 0);
  }
}
