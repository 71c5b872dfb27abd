/** Signals that writing raises for the caller itself: SIGPIPE and SIGXFSZ (send_sig with SEND_SIG_NOINFO). */
import { SIGPIPE, SIGXFSZ, SI_USER } from '../sentry/abi/signal.ts';
import { sigInfoUser } from '../sentry/kernel/sig-info.ts';
import { sendTaskSignal } from '../sentry/kernel/signal-send.ts';
import type { Task } from '../sentry/kernel/task.ts';

export function raisePipe(t: Task): void {
  sendTaskSignal(t, sigInfoUser(SIGPIPE, SI_USER, t.tgid, t.creds.uid));
}

export function raiseFileSize(t: Task): void {
  sendTaskSignal(t, sigInfoUser(SIGXFSZ, SI_USER, t.tgid, t.creds.uid));
}
