/** SignalHandlers: what a process does about each signal (struct sighand_struct). Shared by CLONE_SIGHAND. */
import {
  NSIG,
  SA_ONSTACK,
  SIGCHLD,
  SIGCONT,
  SIGKILL,
  SIGSTOP,
  SIGURG,
  SIGWINCH,
  SIG_DFL,
  SIG_IGN,
} from '../abi/signal.ts';
import { STOP_LO } from './sig-set.ts';

/** Flat arrays indexed by signal, so that rt_sigaction(2), which a posix_spawn calls 64 times, allocates nothing. */
export class SignalHandlers {
  readonly handler = new Float64Array(NSIG + 1);
  readonly restorer = new Float64Array(NSIG + 1);
  readonly flags = new Uint32Array(NSIG + 1);
  readonly maskLo = new Uint32Array(NSIG + 1);
  readonly maskHi = new Uint32Array(NSIG + 1);
  private refs = 1;

  ref(): this {
    this.refs++;
    return this;
  }

  unref(): void {
    this.refs--;
  }

  get shared(): boolean {
    return this.refs > 1;
  }

  clone(): SignalHandlers {
    const c = new SignalHandlers();
    c.handler.set(this.handler);
    c.restorer.set(this.restorer);
    c.flags.set(this.flags);
    c.maskLo.set(this.maskLo);
    c.maskHi.set(this.maskHi);
    return c;
  }

  reset(sig: number): void {
    this.handler[sig] = SIG_DFL;
    this.flags[sig] = 0;
    this.restorer[sig] = 0;
    this.maskLo[sig] = 0;
    this.maskHi[sig] = 0;
  }

  /** execve(2): handled signals go back to the default, ignored ones stay (flush_signal_handlers). */
  flushForExec(): void {
    for (let sig = 1; sig <= NSIG; sig++) {
      const ignored = this.handler[sig] === SIG_IGN;
      this.reset(sig);
      if (ignored) this.handler[sig] = SIG_IGN;
    }
  }

  /** CLONE_CLEAR_SIGHAND: the same as for exec, kept apart because it is asked for by name. */
  clearHandlers(): void {
    this.flushForExec();
  }

  /** sig_handler_ignored(): explicitly, or by a default action that does nothing. */
  ignores(sig: number): boolean {
    const h = this.handler[sig]!;
    return h === SIG_IGN || (h === SIG_DFL && defaultIgnored(sig));
  }

  hasHandler(sig: number): boolean {
    return this.handler[sig]! > SIG_IGN;
  }

  wantsAltStack(sig: number): boolean {
    return (this.flags[sig]! & SA_ONSTACK) !== 0;
  }
}

/** SIG_KERNEL_IGNORE_MASK */
export function defaultIgnored(sig: number): boolean {
  return sig === SIGCONT || sig === SIGCHLD || sig === SIGWINCH || sig === SIGURG;
}

export function defaultStops(sig: number): boolean {
  return sig <= 32 && ((STOP_LO >>> (sig - 1)) & 1) !== 0;
}

/** SIGKILL and SIGSTOP: always as the kernel says. */
export function kernelOnly(sig: number): boolean {
  return sig === SIGKILL || sig === SIGSTOP;
}

/** SIG_KERNEL_COREDUMP_MASK: QUIT ILL TRAP ABRT FPE SEGV BUS SYS XCPU XFSZ */
const COREDUMP = new Set([3, 4, 5, 6, 8, 11, 7, 31, 24, 25]);

export function defaultDumpsCore(sig: number): boolean {
  return COREDUMP.has(sig);
}
