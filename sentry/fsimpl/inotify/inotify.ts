/** InotifyFile: watches on inodes and a queue of events (fs/notify/inotify, inotify(7)). */
import type { Credentials } from '../../auth/credentials.ts';
import { EAGAIN, EEXIST, EINVAL, ENOSPC } from '../../abi/errno.ts';
import { O_RDONLY } from '../../abi/fcntl.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { FileDescription, RWF_HIPRI, type TornRead } from '../../vfs/file-description.ts';
import { IN_EXCL_UNLINK, IN_IGNORED, IN_Q_OVERFLOW, IN_UNMOUNT, notifyOutside } from '../../vfs/fsnotify.ts';
import type { Inode } from '../../vfs/inode.ts';
import { EPOLLIN, EPOLLRDNORM } from '../../waiter/wait-queue.ts';
import { anonInode } from '../anon/anon-inode.ts';
import { putU32 } from '../eventfd/eventfd.ts';
import { addInodeWatch, removeInodeWatch, type InodeWatch } from './inode-watch.ts';

export const IN_ALL_EVENTS = 0xfff;
export const IN_ONLYDIR = 0x01000000;
export const IN_DONT_FOLLOW = 0x02000000;
export const IN_MASK_CREATE = 0x10000000;
export const IN_MASK_ADD = 0x20000000;
export const IN_ONESHOT = 0x80000000;
/** fs.inotify.max_queued_events */
const FIONREAD = 0x541b;
/** sizeof(struct inotify_event); names are padded to a multiple of it. */
const EVENT_SIZE = 16;

class Watch implements InodeWatch {
  readonly inode: Inode;
  readonly wd: number;
  private readonly file: InotifyFile;
  mask = 0;
  oneShot = false;

  constructor(file: InotifyFile, wd: number, inode: Inode) {
    this.file = file;
    this.wd = wd;
    this.inode = inode;
  }

  report(mask: number, cookie: number, name: string): void {
    this.file.report(this, mask, cookie, name);
  }

  objectGone(): void {
    this.file.removeWatch(this.wd);
  }

  lost(): void {
    this.file.lost();
  }
}

interface Event {
  readonly wd: number;
  readonly mask: number;
  readonly cookie: number;
  readonly name: string;
}

const OVERFLOW: Event = { wd: -1, mask: IN_Q_OVERFLOW, cookie: 0, name: '' };

/** What a user has (UCOUNT_INOTIFY_INSTANCES, UCOUNT_INOTIFY_WATCHES); who has nothing is not kept. */
interface Charge {
  readonly uid: number;
  instances: number;
  watches: number;
}

const charges = new Map<number, Charge>();
/** Of all users: at most INOTIFY_LIMIT_MAX. */
let watchCount = 0;
/** fs.inotify.*, for each user. */
export const inotifyLimits = { queuedEvents: 16384, instances: 128, watches: 65536 };
/** What these may be set to: each costs the kernel's heap. */
export const INOTIFY_LIMIT_MAX = 1_000_000;

/** False: EMFILE. */
export function mayMakeInotify(creds: Credentials): boolean {
  return (charges.get(creds.chargedUid)?.instances ?? 0) < inotifyLimits.instances;
}

function chargeInstance(uid: number): Charge {
  let charge = charges.get(uid);
  if (charge === undefined) charges.set(uid, (charge = { uid, instances: 0, watches: 0 }));
  charge.instances++;
  return charge;
}

export class InotifyFile extends FileDescription {
  override rwFlags(): number {
    return RWF_HIPRI;
  }

  override canSplice(): boolean {
    return false;
  }

  override get fasync(): boolean {
    return true;
  }

  private readonly watches = new Map<number, Watch>();
  private readonly byInode = new Map<Inode, Watch>();
  private nextWd = 1;
  private queue: Event[] = [];

  /** Of who made it, whoever adds watches. */
  private readonly charge: Charge;

  constructor(flags: number, creds: Credentials) {
    super(null, anonInode('inotify'), O_RDONLY | flags);
    this.charge = chargeInstance(creds.chargedUid);
  }

  /** inotify_add_watch(2) on a resolved inode: the watch descriptor or −errno. */
  addWatch(inode: Inode, flags: number): number {
    const mask = flags & (IN_ALL_EVENTS | IN_EXCL_UNLINK);
    const old = this.byInode.get(inode);
    if (old !== undefined) {
      if ((flags & IN_MASK_CREATE) !== 0) return -EEXIST;
      old.mask = (flags & IN_MASK_ADD) !== 0 ? old.mask | mask : mask;
      old.oneShot = (flags & IN_ONESHOT) !== 0 || ((flags & IN_MASK_ADD) !== 0 && old.oneShot);
      return old.wd;
    }
    if (this.charge.watches >= inotifyLimits.watches || watchCount >= INOTIFY_LIMIT_MAX) return -ENOSPC;
    const w = new Watch(this, this.nextWd, inode);
    const r = addInodeWatch(w);
    if (r < 0) return r;
    this.nextWd++;
    w.mask = mask;
    w.oneShot = (flags & IN_ONESHOT) !== 0;
    this.watches.set(w.wd, w);
    this.byInode.set(inode, w);
    watchCount++;
    this.charge.watches++;
    return w.wd;
  }

  /** inotify_rm_watch(2), and what happens to a watch whose object is gone. */
  removeWatch(wd: number): number {
    const w = this.watches.get(wd);
    if (w === undefined) return -EINVAL;
    this.forget(w);
    this.push({ wd, mask: IN_IGNORED, cookie: 0, name: '' });
    return 0;
  }

  private forget(w: Watch): void {
    this.watches.delete(w.wd);
    this.byInode.delete(w.inode);
    watchCount--;
    this.charge.watches--;
    removeInodeWatch(w);
  }

  report(w: Watch, mask: number, cookie: number, name: string): void {
    const wanted = w.mask | IN_UNMOUNT;
    if ((mask & wanted & (IN_ALL_EVENTS | IN_UNMOUNT)) === 0 || !this.watches.has(w.wd)) return;
    if ((mask & w.mask & IN_EXCL_UNLINK) !== 0) return;
    this.push({ wd: w.wd, mask: (mask & ~IN_EXCL_UNLINK) >>> 0, cookie, name });
    if (w.oneShot) this.removeWatch(w.wd);
  }

  private push(e: Event): void {
    const last = this.queue.at(-1);
    if (last !== undefined && same(last, e)) return;
    if (this.queue.length >= inotifyLimits.queuedEvents) {
      if (last!.mask !== IN_Q_OVERFLOW) this.queue.push(OVERFLOW);
      return;
    }
    this.queue.push(e);
    this.waiters.wake(EPOLLIN | EPOLLRDNORM);
  }

  /** What others did was more than the host keeps. */
  lost(): void {
    this.push(OVERFLOW);
  }

  override get tornRead(): TornRead {
    return 'lost';
  }

  override read(_t: CallContext, buf: Uint8Array, off: number, len: number): number {
    notifyOutside();
    let done = 0;
    let taken = 0;
    for (const e of this.queue) {
      const size = eventSize(e);
      if (done + size > len) break;
      buf.fill(0, off + done, off + done + size);
      putU32(buf, off + done, e.wd >>> 0);
      putU32(buf, off + done + 4, e.mask);
      putU32(buf, off + done + 8, e.cookie);
      putU32(buf, off + done + 12, size - EVENT_SIZE);
      for (let i = 0; i < e.name.length; i++) buf[off + done + EVENT_SIZE + i] = e.name.charCodeAt(i);
      done += size;
      taken++;
    }
    if (taken === 0) return this.queue.length > 0 ? -EINVAL : -EAGAIN;
    this.queue.splice(0, taken);
    return done;
  }

  /** noop_llseek() */
  override seek(): number {
    return this.pos;
  }

  override poll(): number {
    notifyOutside();
    return this.queue.length > 0 ? EPOLLIN | EPOLLRDNORM : 0;
  }

  override ioctl(t: CallContext, cmd: number, arg: number): number {
    if (cmd !== FIONREAD) return super.ioctl(t, cmd, arg);
    notifyOutside();
    return t.mem.writeU32(
      arg,
      this.queue.reduce((n, e) => n + eventSize(e), 0),
    );
  }

  override fdinfo(): string {
    let out = '';
    // The group's list has the newest first.
    for (const w of [...this.watches.values()].reverse()) {
      out += `inotify wd:${w.wd.toString(16)} ino:${w.inode.ino.toString(16)} sdev:${w.inode.sb.dev.toString(16)} mask:${((w.oneShot ? w.mask | IN_ONESHOT : w.mask) >>> 0).toString(16)} ignored_mask:0\n`;
    }
    return out;
  }

  protected override release(): void {
    for (const w of [...this.watches.values()]) this.forget(w);
    if (--this.charge.instances === 0) charges.delete(this.charge.uid);
  }
}

/** event_compare(): whatever the cookies are. */
function same(a: Event, b: Event): boolean {
  return (a.mask & IN_IGNORED) === 0 && a.wd === b.wd && a.mask === b.mask && a.name === b.name;
}

function eventSize(e: Event): number {
  return e.name === '' ? EVENT_SIZE : EVENT_SIZE + Math.ceil((e.name.length + 1) / EVENT_SIZE) * EVENT_SIZE;
}
