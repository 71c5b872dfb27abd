/** Gives terminals the kernel's job control (drivers/tty/tty_jobctrl.c), which file systems may not call themselves. */
import { SIGCONT, SIGHUP, SIGTTIN, SIGTTOU } from '../sentry/abi/signal.ts';
import { installJobControl } from '../sentry/fsimpl/tty/job-control.ts';
import { disassociateTty, jobControlCheck, setControllingTty } from '../sentry/kernel/job-control.ts';
import { sigInfoKernel } from '../sentry/kernel/sig-info.ts';
import { sendGroupSignal, sendProcessGroupSignal } from '../sentry/kernel/signal-send.ts';

export function installTerminals(): void {
  installJobControl({
    check: (t, tty, sig) => jobControlCheck(t, tty, sig === SIGTTIN ? SIGTTIN : SIGTTOU),
    signalGroup: (group, sig) => {
      sendProcessGroupSignal(group, sigInfoKernel(sig));
    },
    setControllingTty,
    disassociate: disassociateTty,
    hangupLeader: (session) => {
      session.oldForeground = session.tty?.foreground ?? null;
      if (session.leader === null) return;
      sendGroupSignal(session.leader, sigInfoKernel(SIGHUP));
      sendGroupSignal(session.leader, sigInfoKernel(SIGCONT));
    },
  });
}
