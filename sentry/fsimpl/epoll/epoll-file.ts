/**
 * EpollFile: an epoll instance (fs/eventpoll.c). Items hang on the wait queues of their files; what fires goes to the
 * ready list, and epoll_wait asks the files again, so that a ready list entry is a hint, never an answer.
 */
import { EEXIST, EFAULT, EINVAL, ENOENT, ENOSPC, EPERM } from '../../abi/errno.ts';
import { O_RDWR } from '../../abi/fcntl.ts';
import { CAP_NET_ADMIN } from '../../auth/capability.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { FileDescription } from '../../vfs/file-description.ts';
import { EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDNORM, WaitEntry } from '../../waiter/wait-queue.ts';
import { anonInode } from '../anon/anon-inode.ts';
import { EpollNest } from './nesting.ts';

// include/uapi/linux/eventpoll.h
export const EPOLLEXCLUSIVE = 1 << 28;
export const EPOLLWAKEUP = 1 << 29;
export const EPOLLONESHOT = 1 << 30;
export const EPOLLET = 1 << 31;
const PRIVATE_BITS = EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE;
const EXCLUSIVE_OK = EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;
/** fs.epoll.max_user_watches, here for the whole sandbox */
const MAX_WATCHES = 262144;
let watches = 0;
// struct epoll_params: how long and how much network devices are polled. Only remembered: there are none here.
const EPIOCSPARAMS = 0x40088a01;
const EPIOCGPARAMS = 0x80088a02;
const PARAMS_SIZE = 8;
const NAPI_POLL_WEIGHT = 64;

class EpollItem {
  readonly fd: number;
  readonly file: FileDescription;
  events = 0;
  dataLo = 0;
  dataHi = 0;
  readonly entry: WaitEntry;
  readonly onRelease: () => void;
  // Ready list.
  inReady = false;
  prev: EpollItem | null = null;
  next: EpollItem | null = null;
  /** Another item with the same fd number (its file lives on under another descriptor). */
  sameFd: EpollItem | null = null;

  constructor(owner: EpollFile, fd: number, file: FileDescription) {
    this.fd = fd;
    this.file = file;
    this.entry = new WaitEntry(() => owner.fired(this));
    this.onRelease = () => owner.drop(this);
  }

  /** Events that the caller asked for and the file has. */
  poll(): number {
    return (this.events & ~PRIVATE_BITS) === 0 ? 0 : this.file.poll() & this.events;
  }
}

/** Receives one ready event. */
export type EmitEvent = (events: number, dataLo: number, dataHi: number) => void;

export class EpollFile extends FileDescription {
  private readonly items = new Map<number, EpollItem>();
  private head: EpollItem | null = null;
  private tail: EpollItem | null = null;
  private readyCount = 0;
  private params = new Uint8Array(PARAMS_SIZE);
  private readonly nest = new EpollNest();

  constructor() {
    super(null, anonInode('eventpoll'), O_RDWR);
  }

  get size(): number {
    return this.items.size;
  }

  private find(fd: number, file: FileDescription): EpollItem | null {
    let item = this.items.get(fd) ?? null;
    while (item !== null && item.file !== file) item = item.sameFd;
    return item;
  }

  /** The file watched as `fd`; of several with one number the `index`th. */
  watched(fd: number, index: number): FileDescription | null {
    let item = this.items.get(fd) ?? null;
    for (let i = 0; i < index && item !== null; i++) item = item.sameFd;
    return item === null ? null : item.file;
  }

  add(fd: number, file: FileDescription, events: number, dataLo: number, dataHi: number): number {
    if (!file.pollable) return -EPERM;
    if ((events & EPOLLEXCLUSIVE) !== 0) {
      if (file instanceof EpollFile || (events & ~EXCLUSIVE_OK) !== 0) return -EINVAL;
    }
    if (this.find(fd, file) !== null) return -EEXIST;
    if (watches >= MAX_WATCHES) return -ENOSPC;
    const linked = file instanceof EpollFile ? this.nest.watch(file.nest) : this.nest.addOther();
    if (linked !== 0) return linked;
    const item = new EpollItem(this, fd, file);
    watches++;
    item.sameFd = this.items.get(fd) ?? null;
    this.items.set(fd, item);
    (file.releaseHooks ??= new Set()).add(item.onRelease);
    item.entry.exclusive = (events & EPOLLEXCLUSIVE) !== 0;
    const { waiters } = file;
    if (item.entry.exclusive) waiters.add(item.entry, 0);
    else waiters.addFirst(item.entry, 0);
    this.arm(item, events, dataLo, dataHi);
    return 0;
  }

  modify(fd: number, file: FileDescription, events: number, dataLo: number, dataHi: number): number {
    if ((events & EPOLLEXCLUSIVE) !== 0) return -EINVAL;
    const item = this.find(fd, file);
    if (item === null) return -ENOENT;
    if ((item.events & EPOLLEXCLUSIVE) !== 0) return -EINVAL;
    this.arm(item, events, dataLo, dataHi);
    return 0;
  }

  delete(fd: number, file: FileDescription): number {
    const item = this.find(fd, file);
    if (item === null) return -ENOENT;
    this.drop(item);
    return 0;
  }

  private arm(item: EpollItem, events: number, dataLo: number, dataHi: number): void {
    item.events = events | EPOLLERR | EPOLLHUP;
    item.dataLo = dataLo;
    item.dataHi = dataHi;
    item.entry.mask = item.events & ~PRIVATE_BITS;
    if (item.poll() !== 0) this.fired(item);
  }

  /** ep_poll_callback(): the file may have become ready. True if somebody waits here. */
  fired(item: EpollItem): boolean {
    if ((item.events & ~PRIVATE_BITS) === 0) return false;
    this.push(item);
    const waited = !this.waiters.empty;
    this.waiters.wake(EPOLLIN);
    return waited;
  }

  private unlink(file: FileDescription): void {
    if (file instanceof EpollFile) this.nest.unwatch(file.nest);
    else this.nest.removeOther();
  }

  /** Takes an item out: EPOLL_CTL_DEL, or its file is gone. */
  drop(item: EpollItem): void {
    watches--;
    item.entry.remove();
    item.file.releaseHooks?.delete(item.onRelease);
    this.unready(item);
    this.unlink(item.file);
    const first = this.items.get(item.fd);
    if (first === item) {
      if (item.sameFd === null) this.items.delete(item.fd);
      else this.items.set(item.fd, item.sameFd);
      return;
    }
    for (let i = first; i !== undefined && i !== null; i = i.sameFd!) {
      if (i.sameFd === item) i.sameFd = item.sameFd;
    }
  }

  private push(item: EpollItem): void {
    if (item.inReady) return;
    item.inReady = true;
    item.next = null;
    item.prev = this.tail;
    if (this.tail !== null) this.tail.next = item;
    else this.head = item;
    this.tail = item;
    this.readyCount++;
  }

  private unready(item: EpollItem): void {
    if (!item.inReady) return;
    item.inReady = false;
    if (item.prev !== null) item.prev.next = item.next;
    else this.head = item.next;
    if (item.next !== null) item.next.prev = item.prev;
    else this.tail = item.prev;
    item.prev = null;
    item.next = null;
    this.readyCount--;
  }

  /** How many events the next collect() may deliver at most. */
  get candidates(): number {
    return this.readyCount;
  }

  /** ep_send_events(): up to `max` ready events; level-triggered ones go to the end of the list again. */
  collect(max: number, emit: EmitEvent): number {
    let n = 0;
    for (let left = this.readyCount; left > 0 && n < max; left--) {
      const item = this.head!;
      this.unready(item);
      const ready = item.poll();
      if (ready === 0) continue;
      emit(ready, item.dataLo, item.dataHi);
      n++;
      if ((item.events & EPOLLONESHOT) !== 0) {
        item.events &= PRIVATE_BITS;
        item.entry.mask = 0;
      } else if ((item.events & EPOLLET) === 0) this.push(item);
    }
    return n;
  }

  /** ep_eventpoll_ioctl() */
  override ioctl(t: CallContext, cmd: number, arg: number): number {
    if (cmd === EPIOCGPARAMS) return t.mem.copyOut(arg, this.params, 0, PARAMS_SIZE) !== 0 ? -EFAULT : 0;
    if (cmd !== EPIOCSPARAMS) return -EINVAL;
    const given = Buffer.alloc(PARAMS_SIZE);
    if (t.mem.copyIn(arg, given, 0, PARAMS_SIZE) !== 0) return -EFAULT;
    const preferBusyPoll = given[6]!;
    const padding = given[7]!;
    if (padding !== 0 || given.readInt32LE(0) < 0 || preferBusyPoll > 1) return -EINVAL;
    if (given.readUInt16LE(4) > NAPI_POLL_WEIGHT && !t.creds.has(CAP_NET_ADMIN)) return -EPERM;
    this.params = given;
    return 0;
  }

  /** noop_llseek() */
  override seek(): number {
    return this.pos;
  }

  /** Ready if any item on the list still is; the others are taken off. */
  override poll(): number {
    while (this.head !== null) {
      if (this.head.poll() !== 0) return EPOLLIN | EPOLLRDNORM;
      this.unready(this.head);
    }
    return 0;
  }

  override fdinfo(): string {
    let out = '';
    for (let item of this.items.values()) {
      for (;;) {
        const data = item.dataHi.toString(16) + item.dataLo.toString(16).padStart(8, '0');
        out +=
          `tfd: ${String(item.fd).padStart(8)} events: ${(item.events >>> 0).toString(16).padStart(8)} ` +
          `data: ${data.replace(/^0+(?=.)/, '').padStart(16)}  pos:${item.file.pos} ino:${item.file.inode.ino.toString(16)} ` +
          `sdev:${item.file.inode.sb.dev.toString(16)}\n`;
        if (item.sameFd === null) break;
        item = item.sameFd;
      }
    }
    return out;
  }

  protected override release(): void {
    for (const first of [...this.items.values()]) {
      for (let item: EpollItem | null = first; item !== null; item = item.sameFd) {
        watches--;
        item.entry.remove();
        item.file.releaseHooks?.delete(item.onRelease);
        this.unlink(item.file);
      }
    }
    this.items.clear();
  }
}
