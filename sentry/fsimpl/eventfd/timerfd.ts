/** TimerFile: expirations of a timer, counted (fs/timerfd.c). Deadlines are kept on the monotonic clock. */
import { EAGAIN, EFAULT, EINVAL } from '../../abi/errno.ts';
import { O_RDWR } from '../../abi/fcntl.ts';
import { fromLoHi } from '../../lib/addr.ts';
import type { Clock } from '../../time/clock.ts';
import { Timer, type TimerQueue } from '../../time/timer-queue.ts';
import { scratch } from '../../usermem/user-memory.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { FileDescription, type TornRead } from '../../vfs/file-description.ts';
import { EPOLLIN } from '../../waiter/wait-queue.ts';
import { anonInode } from '../anon/anon-inode.ts';
import { putU32 } from './eventfd.ts';

/** include/uapi/linux/timerfd.h */
const TFD_IOC_SET_TICKS = 0x40085400;

export class TimerFile extends FileDescription {
  readonly clockId: number;
  private readonly timers: TimerQueue;
  private readonly clock: Clock;
  private readonly timer: Timer;
  intervalNs = 0;
  private setFlags = 0;
  /** Monotonic time of the next expiration while armed. */
  private nextNs = 0;
  private expirations = 0;
  /** It has expired and stands still until somebody asks (timerfd_ctx.expired). */
  private expired = false;

  constructor(clockId: number, flags: number, timers: TimerQueue, clock: Clock) {
    super(null, anonInode('timerfd'), O_RDWR | flags);
    this.clockId = clockId;
    this.timers = timers;
    this.clock = clock;
    this.timer = new Timer(() => this.expire());
  }

  private expire(): void {
    this.expired = true;
    this.expirations++;
    this.waiters.wake(EPOLLIN);
  }

  /** A periodic timer goes on, and what has come meanwhile counts (hrtimer_forward_now). */
  private goOn(): void {
    if (!this.expired || this.intervalNs === 0) return;
    this.expired = false;
    const missed = Math.max(0, Math.floor((this.clock.monotonicNs() - this.nextNs) / this.intervalNs));
    this.expirations += missed;
    this.nextNs += (1 + missed) * this.intervalNs;
    this.timers.arm(this.timer, this.nextNs);
  }

  /** timerfd_gettime(2): ns until the next expiration, 0 if disarmed. */
  timeLeft(): number {
    this.goOn();
    return this.remainingNs;
  }

  private get remainingNs(): number {
    return this.timer.armed ? Math.max(1, this.nextNs - this.clock.monotonicNs()) : 0;
  }

  /** timerfd_settime(2): the first expiration, in monotonic ns; Infinity: disarm. */
  set(nextNs: number, intervalNs: number, flags: number): void {
    this.setFlags = flags;
    this.expirations = 0;
    this.expired = false;
    this.intervalNs = intervalNs;
    this.nextNs = nextNs;
    this.timers.disarm(this.timer);
    // What is past comes during the call.
    if (nextNs <= this.clock.monotonicNs()) this.expire();
    else this.timers.arm(this.timer, nextNs);
  }

  override get tornRead(): TornRead {
    return 'spilt';
  }

  override copyUnit(): number {
    return 8;
  }

  override read(_t: CallContext, buf: Uint8Array, off: number, len: number): number {
    if (len < 8) return -EINVAL;
    if (this.expirations === 0) return -EAGAIN;
    this.goOn();
    putU32(buf, off, this.expirations >>> 0);
    putU32(buf, off + 4, Math.floor(this.expirations / 0x100000000));
    this.expirations = 0;
    return 8;
  }

  /** TFD_IOC_SET_TICKS: checkpoints bring back what had not been read. */
  override ioctl(t: CallContext, cmd: number, arg: number): number {
    if (cmd !== TFD_IOC_SET_TICKS) return super.ioctl(t, cmd, arg);
    if (t.mem.copyIn(arg, scratch.bytes, 0, 8) !== 0) return -EFAULT;
    const ticks = fromLoHi(scratch.u32[0]!, scratch.u32[1]!);
    if (ticks === 0) return -EINVAL;
    this.expirations = ticks;
    this.waiters.wake(EPOLLIN);
    return 0;
  }

  /** noop_llseek() */
  override seek(): number {
    return this.pos;
  }

  override poll(): number {
    return this.expirations > 0 ? EPOLLIN : 0;
  }

  override fdinfo(): string {
    const time = (ns: number): string => `(${Math.floor(ns / 1e9)}, ${Math.floor(ns % 1e9)})`;
    return (
      `clockid: ${this.clockId}\nticks: ${this.expirations}\nsettime flags: 0${this.setFlags.toString(8)}\n` +
      `it_value: ${time(this.remainingNs)}\nit_interval: ${time(this.intervalNs)}\n`
    );
  }

  protected override release(): void {
    this.timers.disarm(this.timer);
  }
}
