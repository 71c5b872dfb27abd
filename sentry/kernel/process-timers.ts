/**
 * Timers of a process: setitimer(2) and timer_create(2) (kernel/time/itimer.c, posix-timers.c). Wall and monotonic ones
 * are armed in the kernel's queue; CPU time ones look at the CPU clock when it may have got there.
 */
import { SIGALRM, SIGKILL, SIGPROF, SIGVTALRM, SIGXCPU, SI_TIMER } from '../abi/signal.ts';
import { Timer } from '../time/timer-queue.ts';
import { processNs, processUsage, threadNs, threadUsage } from './cpu-time.ts';
import type { Kernel } from './kernel.ts';
import { RLIMIT_CPU, RLIMIT_RTTIME } from './limits.ts';
import { RtTimeWatch } from './rt-time.ts';
import { sigInfoKernel, sigInfoTimer, type SigInfo } from './sig-info.ts';
import { sendGroupSignal, sendTaskSignal } from './signal-send.ts';
import type { Task } from './task.ts';
import type { ThreadGroup } from './thread-group.ts';

export const ITIMER_REAL = 0;
export const ITIMER_VIRTUAL = 1;
export const ITIMER_PROF = 2;
export const SIGEV_SIGNAL = 0;
export const SIGEV_NONE = 1;
export const SIGEV_THREAD_ID = 4;
const SIGNALS = [SIGALRM, SIGVTALRM, SIGPROF];

/** No timer of a guest fires more often: what is faster counts as overruns. */
const MIN_INTERVAL_NS = 50_000;
/** How often it is checked whether a queued timer signal was discarded (the process may have chosen to ignore it). */
const WATCH_MIN_NS = 100_000_000;
const WATCH_MAX_NS = 1_600_000_000;
/** CPU time is looked at no more often than this. */
const CPU_POLL_NS = 1_000_000;

/** What a timer measures, in ns. */
export interface TimeSource {
  read(): number;
  /** CPU time: how much faster than wall time it can run, 0 if it will not any more; null: this is CLOCK_MONOTONIC. */
  speed(): number | null;
  /** It belonged to what is gone. */
  gone?(): boolean;
}

export function monotonicTime({ clock }: Kernel): TimeSource {
  return { read: () => clock.monotonicNs(), speed: () => null };
}

/** CPU time of a process, in user mode only or all of it. */
export function processTime(g: ThreadGroup, user: boolean): TimeSource {
  return {
    read: user ? () => processUsage(g).utimeNs : () => processNs(g),
    // One that is being made has no thread yet.
    speed: () => (g.isZombie ? 0 : Math.max(1, g.tasks.size)),
  };
}

/** The same of a thread. */
export function threadTime(t: Task, user: boolean): TimeSource {
  return {
    read: user ? () => threadUsage(t).utimeNs : () => threadNs(t),
    speed: () => (t.dead ? 0 : 1),
    gone: () => t.dead && t.group.leader !== t,
  };
}

/** Time until a due moment and its repetition, on one source of time. */
class Countdown {
  readonly group: ThreadGroup;
  readonly source: TimeSource;
  /** Reading of the source at which it expires; Infinity: disarmed. */
  expiry = Infinity;
  interval = 0;
  private readonly timer: Timer;
  /** Told how many expirations came at once before this one; true: stand still until release(). */
  private readonly expired: (missed: number) => boolean;

  constructor(group: ThreadGroup, source: TimeSource, expired: (missed: number) => boolean) {
    this.group = group;
    this.source = source;
    this.expired = expired;
    this.timer = new Timer(() => this.check());
  }

  /** `expiry` is a reading of the source. */
  set(expiry: number, interval: number): void {
    this.expiry = expiry;
    this.interval = interval;
    this.arm();
  }

  disarm(): void {
    this.set(Infinity, 0);
  }

  /** What is due already comes now. */
  catchUp(): void {
    if (this.expiry <= this.source.read()) this.check();
  }

  /** Time left, 0 if disarmed; at least 1 ns while armed (0 would say disarmed). */
  get remaining(): number {
    if (this.expiry === Infinity) return 0;
    const left = this.expiry - this.source.read();
    // Standing still: time until it would have expired next.
    if (left <= 0 && this.interval > 0) return Math.max(1, this.interval + (left % this.interval));
    return Math.max(1, left);
  }

  private arm(): void {
    const { kernel } = this.group;
    if (this.expiry === Infinity) {
      kernel.timers.disarm(this.timer);
      return;
    }
    const speed = this.source.speed();
    if (speed === null) {
      kernel.timers.arm(this.timer, this.expiry);
      return;
    }
    // The time of what has ended stands still.
    if (speed === 0) return;
    const left = (this.expiry - this.source.read()) / speed;
    kernel.timers.arm(this.timer, kernel.clock.monotonicNs() + Math.max(left, CPU_POLL_NS));
  }

  private check(): void {
    const now = this.source.read();
    if (now < this.expiry) {
      this.arm();
      return;
    }
    const missed = this.interval === 0 ? 0 : Math.floor((now - this.expiry) / this.interval);
    this.forward(now, missed + 1);
    if (!this.expired(missed)) this.arm();
  }

  /** hrtimer_forward(): `steps` intervals on. */
  private forward(now: number, steps: number): void {
    // A repetition that no clock reaches is Infinity, too, and would make the sum below NaN.
    if (this.interval === 0 || this.interval === Infinity) this.expiry = Infinity;
    else {
      const step = Math.max(this.interval, MIN_INTERVAL_NS);
      this.expiry = Math.max(this.expiry + steps * this.interval, now + (step - this.interval));
    }
  }

  /** Goes on after standing still: how many expirations were passed over. */
  release(): number {
    if (this.expiry === Infinity) return 0;
    const now = this.source.read();
    const missed = now < this.expiry ? 0 : Math.floor((now - this.expiry) / this.interval) + 1;
    if (missed > 0) this.forward(now, missed);
    this.arm();
    return missed;
  }
}

/** struct sigevent */
export interface TimerEvent {
  notify: number;
  signo: number;
  valueLo: number;
  valueHi: number;
  /** SIGEV_THREAD_ID */
  thread: Task | null;
}

export class PosixTimer {
  readonly id: number;
  readonly clock: number;
  readonly countdown: Countdown;
  private readonly group: ThreadGroup;
  readonly event: TimerEvent;
  /** Signal that is queued: as in Linux the timer stands still until it is taken, then the overruns are counted. */
  private sent: SigInfo | null = null;
  private overruns = 0;
  /** Looks whether a queued signal was thrown away, in ever longer steps. */
  private readonly watch = new Timer(() => this.checkSent());
  private watchNs = 0;
  /** timer_getoverrun(2): of the signal that was delivered last. */
  lastOverrun = 0;
  /** The thread that sets it. */
  private setter: Task | null = null;

  constructor(group: ThreadGroup, id: number, clock: number, source: TimeSource, event: TimerEvent) {
    this.group = group;
    this.id = id;
    this.clock = clock;
    this.event = event;
    this.countdown = new Countdown(group, source, (missed) => this.expired(missed));
  }

  /** One without a signal still tells when it would have come. */
  disarm(): void {
    const { expiry, source } = this.countdown;
    if (this.event.notify === SIGEV_NONE && expiry !== Infinity && source.speed() === null)
      this.disarmedAt = expiry;
    this.countdown.disarm();
  }

  private disarmedAt = 0;

  /** timer_gettime(2), ns. */
  get remaining(): number {
    const { countdown } = this;
    if (countdown.expiry !== Infinity) return countdown.remaining;
    return Math.max(0, this.disarmedAt - countdown.source.read());
  }

  /** `t` has set it: a time that is past comes during the call, and then `t` is the first to be asked (posixtimer_get_target). */
  catchUp(t: Task): void {
    this.setter = t;
    if (this.countdown.expiry !== Infinity) this.disarmedAt = 0;
    this.countdown.catchUp();
    this.setter = null;
  }

  /** A new setting starts counting anew. */
  resetOverrun(): void {
    this.overruns = 0;
    this.lastOverrun = 0;
    if (this.sent !== null) this.sent.timer = null;
    this.sent = null;
    this.group.kernel.timers.disarm(this.watch);
  }

  private expired(missed: number): boolean {
    const { notify, signo, valueLo, valueHi, thread } = this.event;
    if (notify === SIGEV_NONE) return false;
    const info = sigInfoTimer(signo, SI_TIMER, this.id, valueLo, valueHi);
    this.overruns = missed;
    info.timer = this;
    this.sent = info;
    if (thread !== null) sendTaskSignal(thread, info);
    else sendGroupSignal(this.group, info, false, this.setter);
    // A queued entry is accounted to a user until it is taken; ignored ones were never queued.
    if (info.accountedUid < 0) {
      this.sent = null;
      return false;
    }
    this.watchNs = WATCH_MIN_NS;
    this.armWatch();
    return true;
  }

  private armWatch(): void {
    const { kernel } = this.group;
    kernel.timers.arm(this.watch, kernel.clock.monotonicNs() + this.watchNs);
  }

  private checkSent(): void {
    if (this.sent === null) return;
    if (this.sent.accountedUid >= 0) {
      this.watchNs = Math.min(this.watchNs * 2, WATCH_MAX_NS);
      this.armWatch();
      return;
    }
    this.sent = null;
    this.countdown.release();
  }

  onDequeue(info: SigInfo): void {
    this.sent = null;
    this.group.kernel.timers.disarm(this.watch);
    // DELAYTIMER_MAX
    this.lastOverrun = Math.min(this.overruns + this.countdown.release(), 0x7fffffff);
    info.bytes.writeInt32LE(this.lastOverrun, 20);
  }
}

export class ProcessTimers {
  readonly itimers: readonly Countdown[];
  readonly posix = new Map<number, PosixTimer>();
  private nextId = 0;
  /** PR_TIMER_CREATE_RESTORE_IDS: timer_create(2) is told the number that the timer is to have. */
  restoresIds = false;

  constructor(g: ThreadGroup) {
    const send = (which: number) => (): boolean => {
      sendGroupSignal(g, sigInfoKernel(SIGNALS[which]!));
      return false;
    };
    const sources = [monotonicTime(g.kernel), processTime(g, true), processTime(g, false)];
    this.itimers = sources.map((s, i) => new Countdown(g, s, send(i)));
  }

  /** RLIMIT_CPU (check_process_timers): SIGXCPU at the soft limit and each second after it, SIGKILL at the hard one. */
  watchCpuLimit(g: ThreadGroup): void {
    const soft = g.limits.cur(RLIMIT_CPU);
    this.cpuLimit ??= new Countdown(g, processTime(g, false), () => this.cpuLimitReached(g));
    if (soft === Infinity) this.cpuLimit.disarm();
    else this.cpuLimit.set(Math.max(soft, 1) * 1e9, 1e9);
  }

  private cpuLimitReached(g: ThreadGroup): boolean {
    const soft = g.limits.cur(RLIMIT_CPU);
    const hard = g.limits.max(RLIMIT_CPU);
    const beyond = processNs(g) >= hard * 1e9;
    // As Linux does it: the limit itself moves on.
    if (!beyond) g.limits.set(RLIMIT_CPU, Math.min(soft + 1, hard), hard);
    sendGroupSignal(g, sigInfoKernel(beyond ? SIGKILL : SIGXCPU));
    return beyond;
  }

  private cpuLimit: Countdown | null = null;

  /** RLIMIT_RTTIME is set, or a thread has become a real-time one. */
  watchRtTime(g: ThreadGroup): void {
    if (g.limits.cur(RLIMIT_RTTIME) === Infinity) return;
    (this.rtTime ??= new RtTimeWatch(g)).start();
  }

  private rtTime: RtTimeWatch | null = null;

  newId(): number {
    while (this.posix.has(this.nextId)) this.nextId = (this.nextId + 1) % 0x7fffffff;
    return this.nextId++;
  }

  /** exec: "POSIX timers are not preserved", interval timers are. */
  deletePosix(): void {
    this.restoresIds = false;
    for (const p of this.posix.values()) {
      p.countdown.disarm();
      p.resetOverrun();
    }
    this.posix.clear();
  }

  deleteAll(): void {
    this.deletePosix();
    for (const c of this.itimers) c.disarm();
    this.cpuLimit?.disarm();
    this.rtTime?.stop();
  }
}

/** The timers of a process, made at first use. */
export function timersOf(g: ThreadGroup): ProcessTimers {
  return (g.timers ??= new ProcessTimers(g)) as ProcessTimers;
}

/** "Timers created by timer_create are not preserved" by execve, interval timers are - execve(2) */
export function timersAtExec(g: ThreadGroup): void {
  if (g.timers !== null) timersOf(g).deletePosix();
}

export function timersAtExit(g: ThreadGroup): void {
  if (g.timers !== null) timersOf(g).deleteAll();
}
