/**
 * The gate: the sentry's end of the seccomp notifications that guest threads cause by clone and by mmap of a file (see
 * seccomp/guest-filter.ts). A call proceeds only if exactly this thread was ordered to make exactly this call; anything
 * else fails with EPERM. Arguments are in registers, so what is checked is what is executed. Thread ids come from the
 * kernel, never from the guest. Sleep notifications (systrap only) are handed to `onSleep`.
 */
import { EPERM } from '../sentry/abi/errno.ts';
import * as host from '../sentry/host/sys.ffi.ts';
import { HostBuffer } from '../sentry/host/memory.ffi.ts';
import { hi32, lo32 } from '../sentry/lib/addr.ts';
import { notifAddFd, notifReceive, notifSend, notifSyncWakeUp, NOTIF_SIZE } from './ffi/notify.ffi.ts';
import * as NR from './order-numbers.ts';
import { GATE_FD, SLEEP_SYSCALL } from './stub-layout.ts';

const BATCH = 32;

/** A call that a thread has been ordered to make. Consumed by the first notification that matches it. */
export interface OrderedCall {
  readonly nr: number;
  /** The first arguments; those beyond its length are not compared. */
  readonly args: readonly number[];
  /** Installed as descriptor `fd` before the call proceeds, then closed here; −1 for none. Owned by the gate. */
  readonly hostFd: number;
  readonly fd: number;
  /** The call was let through. */
  proceeded?(): void;
}

/** The first call of a process that is being cloned. */
export interface Newborn {
  readonly args: readonly number[];
  /** Installed as GATE_FD, stays the caller's; −1: the newborn has inherited what it maps. */
  readonly hostFd: number;
  /** May thread `tid` be that process? A thread already known may not: the cloner could pose as its child. */
  arrived(tid: number): boolean;
  /** Its call proceeds. */
  admitted(): void;
}

export class Gate {
  private readonly listener: number;
  private readonly buffer = new HostBuffer(BATCH * NOTIF_SIZE);
  private readonly ordered = new Map<number, OrderedCall[]>();
  private readonly newborns = new Map<number, Newborn>();
  /** A thread sleeps; the notification stays open until `wake` is called with this id. */
  onSleep: (tid: number, idLo: number, idHi: number) => void = (_tid, idLo, idHi) => this.wake(idLo, idHi);
  refused = 0;
  approved = 0;

  constructor(listener: number) {
    this.listener = listener;
    notifSyncWakeUp(listener); // An older kernel is merely slower.
  }

  /** Lets thread `tid` make `call` once, after what it was ordered before. */
  order(tid: number, call: OrderedCall): void {
    const calls = this.ordered.get(tid);
    if (calls === undefined) this.ordered.set(tid, [call]);
    else calls.push(call);
  }

  /**
   * Lets a process that is about to be cloned make its first call: the mmap with `args` whose descriptor argument
   * carries `nonce` in its high half. Only the cloner's process knows the nonce.
   */
  orderNewborn(nonce: number, newborn: Newborn): void {
    this.newborns.set(nonce, newborn);
  }

  /** True while some thread may be about to ask for what it was ordered to do. */
  get expecting(): boolean {
    return this.ordered.size > 0 || this.newborns.size > 0;
  }

  /** True while a thread that runs may be about to make a call that it was ordered to make. */
  get expectingCall(): boolean {
    return this.ordered.size > 0;
  }

  forgetNewborn(nonce: number): void {
    this.newborns.delete(nonce);
  }

  /** Drops what `tid` was ordered; to be called when its orders have been reported or the thread is gone. */
  forget(tid: number): void {
    const calls = this.ordered.get(tid);
    if (calls === undefined) return;
    this.ordered.delete(tid);
    for (const call of calls) if (call.hostFd >= 0) host.close(call.hostFd);
  }

  /** Ends a sleep. */
  wake(idLo: number, idHi: number): void {
    notifSend(this.listener, idLo, idHi, 0, 0); // ENOENT: the thread was killed meanwhile.
  }

  /**
   * Receives and answers what waits at the listener, at most `max`; returns the number of notifications, without
   * blocking.
   */
  dispatch(max = BATCH): number {
    const count = notifReceive(this.listener, this.buffer.addr, max, 0);
    this.dispatchReceived(count);
    return count;
  }

  /** Room for 32 notifications, for whoever receives them in one go with waiting. */
  get bufferAddr(): number {
    return this.buffer.addr;
  }

  /** Answers `count` notifications that are in the buffer. */
  dispatchReceived(count: number): void {
    for (let i = 0; i < count; i++) this.dispatchOne((i * NOTIF_SIZE) >> 2);
  }

  private dispatchOne(at: number): void {
    const words = this.buffer.u32;
    const idLo = words[at]!;
    const idHi = words[at + 1]!;
    const tid = words[at + 2]!;
    const nr = words[at + 4]!;
    if (nr === SLEEP_SYSCALL) {
      this.onSleep(tid, idLo, idHi);
      return;
    }
    const calls = this.ordered.get(tid);
    if (calls === undefined) {
      if (nr === NR.MMAP && this.admitNewborn(at, tid, idLo, idHi)) return;
      this.refuse(idLo, idHi, EPERM);
      return;
    }
    const call = calls[0]!;
    if (call.nr !== nr || !this.matches(at, call.args)) {
      this.refuse(idLo, idHi, EPERM);
    } else {
      if (calls.length === 1) this.ordered.delete(tid);
      else calls.shift();
      this.proceed(idLo, idHi, call.hostFd, call.fd);
      if (call.hostFd >= 0) host.close(call.hostFd);
      call.proceeded?.();
    }
  }

  private matches(at: number, args: readonly number[]): boolean {
    const words = this.buffer.u32;
    for (let i = 0; i < args.length; i++) {
      if (words[at + 8 + 2 * i] !== lo32(args[i]!) || words[at + 9 + 2 * i] !== hi32(args[i]!)) return false;
    }
    return true;
  }

  private admitNewborn(at: number, tid: number, idLo: number, idHi: number): boolean {
    const words = this.buffer.u32;
    const nonce = words[at + 8 + 2 * 4 + 1]!;
    const newborn = this.newborns.get(nonce);
    if (newborn === undefined || words[at + 8 + 2 * 4] !== GATE_FD) return false;
    if (!this.matches(at, newborn.args) || !newborn.arrived(tid)) return false;
    this.newborns.delete(nonce);
    this.proceed(idLo, idHi, newborn.hostFd, GATE_FD);
    newborn.admitted();
    return true;
  }

  private proceed(idLo: number, idHi: number, hostFd: number, fd: number): void {
    this.approved++;
    if (hostFd >= 0) {
      const r = notifAddFd(this.listener, idLo, idHi, hostFd, fd);
      if (r < 0) {
        notifSend(this.listener, idLo, idHi, r, 0);
        return;
      }
    }
    notifSend(this.listener, idLo, idHi, 0, 1);
  }

  private refuse(idLo: number, idHi: number, errno: number): void {
    this.refused++;
    notifSend(this.listener, idLo, idHi, -errno, 0);
  }
}
