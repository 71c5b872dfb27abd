/** The syscall table: every topic file contributes its rows. Numbers without a row answer ENOSYS and are counted. */
import type { SyscallRow } from '../sentry/kernel/syscall-table.ts';
import { aioRows } from './aio.ts';
import { archRows } from './arch-prctl.ts';
import { capabilityRows } from './capabilities.ts';
import { cloneRows } from './clone.ts';
import { credentialRows } from './credentials.ts';
import { epollRows } from './epoll.ts';
import { eventfdRows } from './eventfd.ts';
import { idRows } from './ids.ts';
import { fileRows } from './file-rows.ts';
import { execRows } from './exec.ts';
import { ioctlRows } from './ioctl.ts';
import { kcmpRows } from './kcmp.ts';
import { killRows } from './kill.ts';
import { mempolicyRows } from './mempolicy.ts';
import { mmAdviceRows } from './mm-advice.ts';
import { mmRows } from './mm.ts';
import { mqueueRows } from './mqueue.ts';
import { namespaceRows } from './namespaces.ts';
import { inotifyRows } from './inotify.ts';
import { pipeRows } from './pipe.ts';
import { pollRows } from './poll.ts';
import { prctlRows } from './prctl.ts';
import { readWriteRows } from './read-write.ts';
import { keyctlRows } from './keyctl.ts';
import { keyRows } from './keys.ts';
import { lsmRows } from './lsm.ts';
import { quotaRows } from './quota.ts';
import { ptraceRows } from './ptrace.ts';
import { bpfRows } from './bpf.ts';
import { refusedRows } from './refused.ts';
import { schedulerRows } from './scheduler.ts';
import { seccompRows } from './seccomp.ts';
import { signalRows } from './signal.ts';
import { vhangupRows } from './vhangup.ts';
import { waitRows } from './wait.ts';
import { signalfdRows } from './signalfd.ts';
import { socketRecvRows } from './socket-recv.ts';
import { socketSendRows } from './socket-send.ts';
import { socketRows } from './socket.ts';
import { spliceRows } from './splice.ts';
import { vmspliceRows } from './vmsplice.ts';
import { sendfileRows } from './sendfile.ts';
import { copyRangeRows } from './copy-range.ts';
import { ioUringRows } from './io-uring.ts';
import { rlimitRows } from './rlimit.ts';
import { sysfsRows } from './sysfs.ts';
import { systemRows } from './system.ts';
import { futexWaitvRows } from './futex-waitv.ts';
import { futexRows } from './futex.ts';
import { futex2Rows } from './futex2.ts';
import { clockSetRows } from './clock-set.ts';
import { timeRows } from './time.ts';
import { timerRows } from './timers.ts';
import { landlockRows } from './landlock.ts';
import { membarrierRows } from './membarrier.ts';
import { rseqRows } from './rseq.ts';
import { memfdRows } from './memfd.ts';
import { processVmRows } from './process-vm.ts';
import { shmRows } from './shm.ts';
import { semRows } from './sem.ts';
import { msgRows } from './msg.ts';

const rows: readonly SyscallRow[] = [
  ...aioRows,
  ...archRows,
  ...capabilityRows,
  ...cloneRows,
  ...credentialRows,
  ...epollRows,
  ...eventfdRows,
  ...execRows,
  ...idRows,
  ...fileRows,
  ...ioUringRows,
  ...ioctlRows,
  ...kcmpRows,
  ...killRows,
  ...mempolicyRows,
  ...mmAdviceRows,
  ...mmRows,
  ...mqueueRows,
  ...namespaceRows,
  ...inotifyRows,
  ...pipeRows,
  ...pollRows,
  ...prctlRows,
  ...readWriteRows,
  ...ptraceRows,
  ...keyRows,
  ...keyctlRows,
  ...lsmRows,
  ...quotaRows,
  ...refusedRows,
  ...bpfRows,
  ...schedulerRows,
  ...seccompRows,
  ...signalRows,
  ...vhangupRows,
  ...waitRows,
  ...signalfdRows,
  ...socketRecvRows,
  ...socketSendRows,
  ...socketRows,
  ...spliceRows,
  ...vmspliceRows,
  ...sendfileRows,
  ...copyRangeRows,
  ...rlimitRows,
  ...sysfsRows,
  ...systemRows,
  ...futexRows,
  ...futexWaitvRows,
  ...futex2Rows,
  ...clockSetRows,
  ...timeRows,
  ...timerRows,
  ...landlockRows,
  ...membarrierRows,
  ...rseqRows,
  ...memfdRows,
  ...processVmRows,
  ...shmRows,
  ...semRows,
  ...msgRows,
];

/** Rows by syscall number. */
export function makeSyscallTable(): (SyscallRow | null)[] {
  const table: (SyscallRow | null)[] = new Array(512).fill(null) as null[];
  for (const row of rows) table[row.nr] = row;
  return table;
}
