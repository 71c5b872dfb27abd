/** Signals as users and engines write them: 9, KILL, SIGKILL, RTMIN+3. */
import { signalNumber } from '../../sentry/abi/signal-names.ts';
import { NSIG, SIGRTMIN } from '../../sentry/abi/signal.ts';
import { UserError } from '../user-error.ts';

/** The C library keeps the first two for itself. */
const RTMIN_LIBC = 34;

export function parseSignal(text: string): number {
  const signo = signalNumber(text);
  if (signo >= 0) return signo;
  const realTime = /^(?:SIG)?RTM(IN|AX)(?:([+-])(\d+))?$/i.exec(text);
  if (realTime !== null) {
    const from = realTime[1]!.toUpperCase() === 'IN' ? RTMIN_LIBC : NSIG;
    const n = from + Number(realTime[3] ?? 0) * (realTime[2] === '-' ? -1 : 1);
    if (n >= SIGRTMIN && n <= NSIG) return n;
  }
  throw new UserError(`unknown signal ${JSON.stringify(text)}`);
}
