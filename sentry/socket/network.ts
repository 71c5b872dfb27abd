/**
 * Network: a network namespace as the host has it. The sandbox's own is the one that the sentry is in. Those that guests make are
 * namespaces of the host, too, empty but for a loopback interface that is down; the networker (launcher-networker.c) makes
 * one when something first asks for what is in it, and opens its sockets, which the sentry then uses as its own.
 */
import { ENODEV } from '../abi/errno.ts';
import { AF_INET, AF_NETLINK, AF_PACKET, SOCK_DGRAM, SOCK_RAW } from '../abi/socket.ts';
import { NET_NAMESPACES_MAX } from '../auth/namespace-users.ts';
import { bind as hostBind, socket as hostSocket } from '../host/net.ffi.ts';
import * as O from '../host/opener.ffi.ts';
import { nextNotice, prepareNotices, prepareQueries, routeQuery, setStrict } from '../host/route.ffi.ts';
import { readNow } from '../host/file-io.ffi.ts';
import { HOST_EPOLLIN, hostPoller } from '../host/poller.ffi.ts';
import { HostBuffer } from '../host/memory.ffi.ts';
import { close } from '../host/sys.ffi.ts';
import type { NetNamespace } from '../kernel/namespaces.ts';
import type { Task } from '../kernel/task.ts';
import type { CallContext } from '../vfs/call-context.ts';

/** Is told of changes: a message of rtnetlink(7) and its multicast group. */
export interface NetworkWatcher {
  networkChanged(data: Buffer, group: number): void;
}

/** RTNLGRP_LINK to RTNLGRP_NEXTHOP but for IPV4_MROUTE_R and IPV6_MROUTE_R, which want CAP_NET_ADMIN. */
const ALL_GROUPS = 0x9fffffff;
/** struct sockaddr_nl */
const NOTICES = Buffer.alloc(12);
NOTICES.writeUInt16LE(AF_NETLINK, 0);
NOTICES.writeUInt32LE(ALL_GROUPS, 8);

let networker = new O.Opener(-1);

/** What is read of a file of /proc/net at a time, and at most. */
const PIECE = new HostBuffer(65536);
const TEXT_MAX = 8 * 1024 * 1024;

export abstract class Network {
  private askFd = -1;
  private routeFd = -1;
  private noticeFd = -1;
  private strict = false;
  private readonly watchers = new Set<NetworkWatcher>();

  /** A non-blocking socket of the host in this network, or −errno. */
  abstract socket(domain: number, type: number, protocol: number): number;

  /** bind(2) whatever the port: whether the caller may is asked before. */
  abstract bind(hostFd: number, addr: Uint8Array): number;

  /** The networker's number of it, or −errno. */
  protected abstract reach(): number;

  /** A request of the networker's about this network: 0 or −errno; `networker.answer` has what else it says. */
  private ask(op: number, args: readonly number[], data: Uint8Array | null, fd = -1): number {
    const n = this.reach();
    return n < 0 ? n : networker.ask(op, n, args, data, fd);
  }

  /** What names it in a request of rtnetlink(7), or −errno. */
  reference(): number {
    const n = this.reach();
    return n < 0 ? n : O.NETWORK_FD + n;
  }

  /** A checked request of rtnetlink(7) that changes something: the NLMSG_ERROR that answers it, or −errno. */
  change(message: Uint8Array): Buffer | number {
    const r = this.ask(O.REQUEST_ROUTE, [], message);
    return networker.answer.length > 0 ? networker.answer : r;
  }

  /** The same by an ioctl of a socket of that family: SIOCSIF* with a struct ifreq, routes, neighbours. */
  setInterface(cmd: number, value: Uint8Array, domain = AF_INET): number {
    return this.ask(O.REQUEST_IFREQ, [cmd, domain], value);
  }

  /** An option that the host wants a capability for. */
  setOption(hostFd: number, level: number, name: number, value: Uint8Array): number {
    return this.ask(O.REQUEST_OPTION, [level, name], value, hostFd);
  }

  /** TUNSETIFF with a struct ifreq, which is filled in: a descriptor of /dev/net/tun or −errno. */
  openTun(ifreq: Uint8Array): number {
    const r = this.ask(O.REQUEST_TUN, [], ifreq);
    if (r < 0) return r;
    ifreq.set(networker.answer.subarray(0, ifreq.length));
    return networker.donated();
  }

  /** An ioctl of such a descriptor, whose argument is changed. */
  setTun(hostFd: number, cmd: number, value: Uint8Array): number {
    const r = this.ask(O.REQUEST_TUN_SET, [cmd], value, hostFd);
    if (r >= 0) value.set(networker.answer.subarray(0, value.length));
    return r;
  }

  /** The networker's number of this network for reading in /proc/net, or −errno. */
  protected procNumber(): number {
    return this.reach();
  }

  /** The host's file of /proc/net about this network; null: there is none. */
  procText(path: string): string | null {
    const n = this.procNumber();
    if (n < 0 || networker.ask(O.REQUEST_PROC, n, [], Buffer.from(`${path}\0`, 'latin1')) < 0) return null;
    const fd = networker.donated();
    if (fd < 0) return null;
    let text = '';
    while (text.length < TEXT_MAX) {
      const got = readNow(fd, PIECE.addr, PIECE.size);
      if (got <= 0) break;
      text += Buffer.from(PIECE.bytes.buffer, PIECE.bytes.byteOffset, got).toString('latin1');
    }
    close(fd);
    return text;
  }

  /** Any socket, to ask about interfaces by ioctl. */
  asker(): number {
    if (this.askFd < 0) this.askFd = this.socket(AF_INET, SOCK_DGRAM, 0);
    return this.askFd;
  }

  openRoute(): number {
    if (this.routeFd < 0) {
      this.routeFd = this.socket(AF_NETLINK, SOCK_RAW, 0);
      if (this.routeFd >= 0) prepareQueries(this.routeFd);
    }
    return this.routeFd;
  }

  /** A socket that is told of changes. */
  protected openNotices(): number {
    if (this.noticeFd < 0) {
      this.noticeFd = this.socket(AF_NETLINK, SOCK_RAW, 0);
      if (this.noticeFd >= 0) {
        prepareNotices(this.noticeFd);
        hostBind(this.noticeFd, NOTICES);
      }
    }
    return this.noticeFd;
  }

  /** Answers to a query by rtnetlink(7), datagrams; null if it failed. `strict`: NETLINK_GET_STRICT_CHK. */
  query(message: Uint8Array, strict = false): Buffer[] | null {
    const fd = this.openRoute();
    if (fd >= 0 && strict !== this.strict) setStrict(fd, strict);
    this.strict = strict;
    return routeQuery(fd, message);
  }

  watch(w: NetworkWatcher): void {
    if (this.watchers.has(w)) return;
    const fd = this.openNotices();
    if (this.watchers.size === 0 && fd >= 0) {
      // What came before is not of interest.
      while (nextNotice(fd) !== null);
      hostPoller().add(fd, HOST_EPOLLIN, () => this.tellWatchers());
    }
    this.watchers.add(w);
  }

  unwatch(w: NetworkWatcher): void {
    if (this.watchers.delete(w) && this.watchers.size === 0) hostPoller().remove(this.noticeFd);
  }

  /** Hands on what the host has told of: it does so before the call that changed something returns. */
  tellWatchers(): void {
    if (this.watchers.size === 0) return;
    for (let n = nextNotice(this.noticeFd); n !== null; n = nextNotice(this.noticeFd)) {
      for (const w of this.watchers) w.networkChanged(n.data, n.group);
    }
  }

  protected closeOwn(): void {
    if (this.askFd >= 0) close(this.askFd);
    if (this.routeFd >= 0) close(this.routeFd);
    if (this.noticeFd >= 0) {
      if (this.watchers.size > 0) hostPoller().remove(this.noticeFd);
      close(this.noticeFd);
    }
    this.watchers.clear();
    this.askFd = this.routeFd = this.noticeFd = -1;
  }
}

/**
 * What the sandbox was given. Guests may change it if the launcher made it for them alone: an engine's belongs to the host's user namespace, in
 * which the networker has no rights. Raw sockets come from an opener, if there is one.
 */
class OwnNetwork extends Network {
  rawOpener = new O.Opener(-1);

  /** Before the sentry confines itself. */
  openAll(): void {
    this.openRoute();
    this.openNotices();
  }

  override socket(domain: number, type: number, protocol: number): number {
    const raw = domain === AF_PACKET || (type === SOCK_RAW && domain !== AF_NETLINK);
    return raw ? this.rawOpener.socket(0, domain, type, protocol) : hostSocket(domain, type, protocol);
  }

  override bind(hostFd: number, addr: Uint8Array): number {
    return hostBind(hostFd, addr);
  }

  protected override reach(): number {
    return O.OWN_NETWORK;
  }
}

const numbers = new Set<number>();

class MadeNetwork extends Network {
  /** The networker's number of it; −1: not made yet. */
  private number = -1;
  private dropped = false;

  /** Makes the host's namespace if there is none yet: 0 or −errno. */
  private make(): number {
    if (this.dropped) return -ENODEV;
    if (this.number >= 0) return 0;
    let n = 0;
    while (numbers.has(n)) n++;
    const r = networker.ask(O.REQUEST_NETWORK, n);
    if (r < 0) return r;
    numbers.add(n);
    this.number = n;
    return 0;
  }

  override socket(domain: number, type: number, protocol: number): number {
    const r = this.make();
    return r < 0 ? r : networker.socket(this.number, domain, type, protocol);
  }

  override bind(hostFd: number, addr: Uint8Array): number {
    return networker.ask(O.REQUEST_BIND, this.number, [], addr, hostFd);
  }

  protected override reach(): number {
    const r = this.make();
    return r < 0 ? r : this.number;
  }

  /** The host's namespace ends with its last socket. */
  drop(): void {
    this.dropped = true;
    this.closeOwn();
    if (this.number < 0) return;
    networker.ask(O.REQUEST_FORGET, this.number);
    numbers.delete(this.number);
    this.number = -1;
  }
}

const own = new OwnNetwork();

/**
 * Once, before the sentry's system call filter: afterwards it can make no netlink socket. Connections to the opener of raw
 * sockets and to the networker; −1: there is none.
 */
export function useNetworks(rawOpenerFd: number, networkerFd: number): void {
  own.openAll();
  own.rawOpener = new O.Opener(rawOpenerFd);
  networker = new O.Opener(networkerFd);
  // Once it answers, if only that there is no such file, it needs nothing more of the root that it was born into.
  networker.ask(O.REQUEST_PROC, O.OWN_NETWORK);
}

let made = 0;

/** Makes a guest's new namespace one of the networks: false if there are too many. */
export function addNetwork(ns: NetNamespace): boolean {
  if (made >= NET_NAMESPACES_MAX) return false;
  made++;
  const network = new MadeNetwork();
  ns.state = network;
  ns.onUnused = () => {
    made--;
    network.drop();
  };
  return true;
}

export function networkOf(ns: NetNamespace | null): Network {
  return ns === null ? own : ((ns.state as Network | null) ?? own);
}

/** The network namespace of a caller; null: the sandbox's own (callers without a task). */
export function netNsOf(t: CallContext | null): NetNamespace | null {
  return t === null ? null : ((t as Task).ns?.net ?? null);
}
