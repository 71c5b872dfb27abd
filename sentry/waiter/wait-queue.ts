/**
 * Wait queues: who wants to know when something becomes ready. Linux: include/linux/wait.h.
 * A wake-up only calls back; callbacks enqueue tasks or mark epoll items, they never run guest or handler code.
 */

// Event masks are poll(2)'s, which epoll shares (include/uapi/linux/eventpoll.h).
export const EPOLLIN = 0x001;
export const EPOLLPRI = 0x002;
export const EPOLLOUT = 0x004;
export const EPOLLERR = 0x008;
export const EPOLLHUP = 0x010;
export const EPOLLNVAL = 0x020;
export const EPOLLRDNORM = 0x040;
export const EPOLLRDBAND = 0x080;
export const EPOLLWRNORM = 0x100;
export const EPOLLWRBAND = 0x200;
export const EPOLLMSG = 0x400;
export const EPOLLRDHUP = 0x2000;
export const EPOLL_ALL = 0x7fffffff;

/** Returns true if the wake-up reached somebody; only exclusive entries are asked. */
export type OnWake = (events: number, entry: WaitEntry) => unknown;

/** One registration on at most one queue; reusable after removal. */
export class WaitEntry {
  mask = 0;
  queue: WaitQueue | null = null;
  prev: WaitEntry | null = null;
  next: WaitEntry | null = null;
  /** Of the exclusive entries of a queue one wake-up reaches the first whose callback says that somebody waited. */
  exclusive = false;
  readonly onWake: OnWake;

  constructor(onWake: OnWake) {
    this.onWake = onWake;
  }

  remove(): void {
    this.queue?.remove(this);
  }
}

/** Nothing for those who wait, but for signal-driven I/O (kill_fasync): a writer is told. */
export const WAKE_ASYNC_OUT = 1 << 26;

export class WaitQueue {
  private head: WaitEntry | null = null;
  private tail: WaitEntry | null = null;

  get empty(): boolean {
    return this.head === null;
  }

  /** Preconditions: `e` is on no queue. */
  add(e: WaitEntry, mask: number): void {
    e.mask = mask;
    e.queue = this;
    e.next = null;
    e.prev = this.tail;
    if (this.tail !== null) this.tail.next = e;
    else this.head = e;
    this.tail = e;
  }

  /** __add_wait_queue(): before those that are there already, who hear of it later. */
  addFirst(e: WaitEntry, mask: number): void {
    e.mask = mask;
    e.queue = this;
    e.prev = null;
    e.next = this.head;
    if (this.head !== null) this.head.prev = e;
    else this.tail = e;
    this.head = e;
  }

  remove(e: WaitEntry): void {
    if (e.queue !== this) return;
    if (e.prev !== null) e.prev.next = e.next;
    else this.head = e.next;
    if (e.next !== null) e.next.prev = e.prev;
    else this.tail = e.prev;
    e.queue = null;
    e.prev = null;
    e.next = null;
  }

  /** Calls every entry whose mask meets `events` (errors and hang-ups always count). A callback may remove its own entry. */
  wake(events: number): void {
    let e = this.head;
    let taken = false;
    while (e !== null) {
      const next = e.next;
      if ((e.mask & events) !== 0 || (events & (EPOLLERR | EPOLLHUP)) !== 0) {
        if (!e.exclusive) e.onWake(events, e);
        else if (!taken) taken = e.onWake(events, e) === true;
      }
      e = next;
    }
  }
}
