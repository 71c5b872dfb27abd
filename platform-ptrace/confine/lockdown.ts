/**
 * The last step of sentry and gofer before they serve a guest: everything is loaded, the root is pivoted, capabilities
 * and namespaces are as the launcher made them. Now the door is closed from inside.
 */
import { close } from '../../sentry/host/sys.ffi.ts';
import { assembleFilter } from './filter-table.ts';
import { goferRows } from './gofer-filter.ts';
import { GOFER_DIST_FD, SENTRY_DIST_FD } from './launcher-protocol.ts';
import { clearDumpable, installFilter } from './lockdown.ffi.ts';
import { sentryRows } from './sentry-filter.ts';

function must(what: string, result: number): void {
  if (result !== 0) throw new Error(`lockdown: ${what}: ${result}`);
}

/**
 * What locks the sentry in; assembling the filter takes longer than installing it. Preconditions of the result: all threads are
 * running (none can start afterwards), the GO message has been received. `report`: a call outside of the list is named before the
 * process ends.
 */
export function sentryLock(platform: 'systrap' | 'ptrace', report: boolean): () => void {
  const filter = assembleFilter(sentryRows({ pid: process.pid, platform }), report);
  return () => {
    close(SENTRY_DIST_FD);
    must('dumpable', clearDumpable());
    must('seccomp', installFilter(filter, report));
  };
}

/** As sentryLock, at once. `hostSockets`: it connects to sockets that are files of its trees. */
export function lockGofer(report: boolean, hostSockets: boolean): void {
  close(GOFER_DIST_FD);
  must('dumpable', clearDumpable());
  must('seccomp', installFilter(assembleFilter(goferRows(process.pid, hostSockets), report), report));
}
