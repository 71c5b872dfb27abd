/**
 * One epoll fd for all host fds whose readiness the kernel waits for: container stdio, sockets, the gofer's channel. Its own
 * number is the wakeFd of Platform.poll. Registrations are named by ids that are never reused, so that an event for a
 * closed fd cannot reach its successor.
 */
import { hostSyscall } from './sys.ffi.ts';
import { HostBuffer } from './memory.ffi.ts';

export const HOST_EPOLLIN = 0x1;
export const HOST_EPOLLPRI = 0x2;
export const HOST_EPOLLOUT = 0x4;
export const HOST_EPOLLRDHUP = 0x2000;
export const HOST_EPOLLET = 0x80000000;

const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CTL_MOD = 3;
const EPOLL_CLOEXEC = 0o2000000;
const NR_epoll_wait = 232;
const NR_epoll_ctl = 233;
const NR_epoll_create1 = 291;
/** struct epoll_event is packed on x86-64: u32 events, u64 data. */
const EVENT_SIZE = 12;
const MAX_EVENTS = 64;

export type HostReady = (events: number) => void;

interface Registration {
  readonly id: number;
  readonly onReady: HostReady;
}

class HostPoller {
  readonly epollFd: number;
  /** Edges of writability, apart: an edge reports everything that is ready, so reading and writing may not share one. */
  private writeFd = -1;
  private readonly events = new HostBuffer(MAX_EVENTS * EVENT_SIZE);
  private readonly writeEvents = new HostBuffer(MAX_EVENTS * EVENT_SIZE);
  private readonly one = new HostBuffer(EVENT_SIZE);
  private readonly byFd = new Map<number, Registration>();
  private readonly byId = new Map<number, HostReady>();
  private nextId = 1;

  constructor() {
    this.epollFd = newEpoll();
  }

  /** Starts to watch `fd`: 0, or −errno (−EPERM: the file is always ready). */
  add(fd: number, events: number, onReady: HostReady): number {
    const id = this.nextId++;
    const r = this.ctl(EPOLL_CTL_ADD, fd, events, id);
    if (r < 0) return r;
    this.byFd.set(fd, { id, onReady });
    this.byId.set(id, onReady);
    return 0;
  }

  modify(fd: number, events: number): number {
    const reg = this.byFd.get(fd);
    return reg === undefined ? -2 : this.ctl(EPOLL_CTL_MOD, fd, events, reg.id);
  }

  /**
   * Watches `fd` for edges: `events` among EPOLLIN, PRI, RDHUP, and EPOLLOUT, each reported when it comes about and not along
   * with the other.
   */
  addEdges(fd: number, events: number, onReady: HostReady): number {
    if (this.writeFd < 0) {
      this.writeFd = newEpoll();
      this.add(this.writeFd, HOST_EPOLLIN, () => this.deliver(this.writeFd));
    }
    const r = this.add(fd, (events & ~HOST_EPOLLOUT) | HOST_EPOLLET, onReady);
    if (r < 0) return r;
    const { id } = this.byFd.get(fd)!;
    return this.ctl(EPOLL_CTL_ADD, fd, HOST_EPOLLOUT | HOST_EPOLLET, id, this.writeFd);
  }

  /** Before the fd is closed. */
  remove(fd: number): void {
    const reg = this.byFd.get(fd);
    if (reg === undefined) return;
    this.byFd.delete(fd);
    this.byId.delete(reg.id);
    this.ctl(EPOLL_CTL_DEL, fd, 0, 0);
    if (this.writeFd >= 0) this.ctl(EPOLL_CTL_DEL, fd, 0, 0, this.writeFd);
  }

  /** Delivers what is ready now without waiting; returns the number of events. */
  run(): number {
    return this.deliver(this.epollFd);
  }

  private deliver(epollFd: number): number {
    // Callbacks may run the poller of writability: the events have to be its own.
    const events = epollFd === this.writeFd ? this.writeEvents : this.events;
    let total = 0;
    for (;;) {
      const n = hostSyscall(NR_epoll_wait, epollFd, events.addr, MAX_EVENTS, 0, 0, 0);
      if (n <= 0) return total;
      for (let i = 0; i < n; i++) {
        const at = i * EVENT_SIZE;
        const onReady = this.byId.get(events.view.getUint32(at + 4, true));
        if (onReady !== undefined) onReady(events.view.getUint32(at, true));
      }
      total += n;
      // Level-triggered registrations stay ready: one round, unless the buffer was full.
      if (n < MAX_EVENTS || total >= 4 * MAX_EVENTS) return total;
    }
  }

  private ctl(op: number, fd: number, events: number, id: number, epollFd = this.epollFd): number {
    this.one.view.setUint32(0, events >>> 0, true);
    this.one.view.setUint32(4, id, true);
    this.one.view.setUint32(8, 0, true);
    return hostSyscall(NR_epoll_ctl, epollFd, op, fd, this.one.addr, 0, 0);
  }
}

function newEpoll(): number {
  const fd = hostSyscall(NR_epoll_create1, EPOLL_CLOEXEC, 0, 0, 0, 0, 0);
  if (fd < 0) throw new Error(`epoll_create1: errno ${-fd}`);
  return fd;
}

let instance: HostPoller | null = null;

/** The sandbox's poller. */
export function hostPoller(): HostPoller {
  return (instance ??= new HostPoller());
}
