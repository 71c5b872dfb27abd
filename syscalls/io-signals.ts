/** Signals that writing raises for the caller itself: SIGPIPE and SIGXFSZ. */
import { SIGPIPE, SIGXFSZ } from '../sentry/abi/signal.ts';
import { sigInfoUser } from '../sentry/kernel/sig-info.ts';
import { sendTaskSignal } from '../sentry/kernel/signal-send.ts';
import type { Task } from '../sentry/kernel/task.ts';

/** send_sig(sig, current, 0): looks as if the task had sent it. */
function raise(t: Task, sig: number): void {
  sendTaskSignal(t.owner, sigInfoUser(sig, 0, t.tgid, t.creds.uid));
}

export function raisePipe(t: Task): void {
  raise(t, SIGPIPE);
}

export function raiseFileSize(t: Task): void {
  raise(t, SIGXFSZ);
}
