/**
 * TunFile: /dev/net/tun (drivers/net/tun.c), by a descriptor of the host's device in the network where the guest opened it. The host makes
 * that when TUNSETIFF names an interface; until then nothing is attached.
 */
import { EBADFD, EEXIST, EFAULT, EINVAL, EPERM } from '../../abi/errno.ts';
import { CAP_NET_ADMIN } from '../../auth/capability.ts';
import { leaveNamespace, useNamespace } from '../../auth/namespace-users.ts';
import { deviceList } from '../../fsimpl/net-devices.ts';
import { pollNow, readNow, writeNow } from '../../host/file-io.ffi.ts';
import { HostBuffer } from '../../host/memory.ffi.ts';
import { hostPoller } from '../../host/poller.ffi.ts';
import { close } from '../../host/sys.ffi.ts';
import type { NetNamespace } from '../../kernel/namespaces.ts';
import { hostAddressOf } from '../../usermem/io-buffer.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import { FileDescription } from '../../vfs/file-description.ts';
import type { Inode } from '../../vfs/inode.ts';
import { EPOLLERR, EPOLLIN, EPOLLOUT, EPOLLRDNORM, EPOLLWRNORM } from '../../waiter/wait-queue.ts';
import { netNsOf, networkOf } from '../network.ts';
import { forgetTunUsers, setTunUser, tunUsers } from './tun-users.ts';

// include/uapi/linux/if_tun.h
const TUNSETNOCSUM = 0x400454c8;
const TUNSETIFF = 0x400454ca;
const TUNSETPERSIST = 0x400454cb;
const TUNSETOWNER = 0x400454cc;
const TUNSETLINK = 0x400454cd;
const TUNSETGROUP = 0x400454ce;
const TUNGETFEATURES = 0x800454cf;
const TUNSETOFFLOAD = 0x400454d0;
const TUNGETIFF = 0x800454d2;
const TUNGETSNDBUF = 0x800454d3;
const TUNSETSNDBUF = 0x400454d4;
const TUNGETVNETHDRSZ = 0x800454d7;
const TUNSETVNETHDRSZ = 0x400454d8;
const TUNSETQUEUE = 0x400454d9;
const TUNSETVNETLE = 0x400454dc;
const TUNGETVNETLE = 0x800454dd;
const TUNSETCARRIER = 0x400454e2;
const SIOCSIFHWADDR = 0x8924;
const SIOCGIFHWADDR = 0x8927;
/** IFF_TUN, TAP, NAPI, NAPI_FRAGS, NO_CARRIER, MULTI_QUEUE, NO_PI, ONE_QUEUE, VNET_HDR */
const FEATURES = 0x7173;

const IFREQ_SIZE = 40;
const IFNAMSIZ = 16;
/** The argument is the value itself. */
const BY_VALUE: ReadonlySet<number> = new Set([TUNSETNOCSUM, TUNSETPERSIST, TUNSETLINK, TUNSETOFFLOAD]);
/** It points to an int or a struct ifreq that the host writes to. */
const GETS = new Map([
  [TUNGETIFF, IFREQ_SIZE],
  [SIOCGIFHWADDR, IFREQ_SIZE],
  [TUNGETSNDBUF, 4],
  [TUNGETVNETHDRSZ, 4],
  [TUNGETVNETLE, 4],
]);
const SETS = new Map([
  [SIOCSIFHWADDR, IFREQ_SIZE],
  [TUNSETQUEUE, IFREQ_SIZE],
  [TUNSETSNDBUF, 4],
  [TUNSETVNETHDRSZ, 4],
  [TUNSETVNETLE, 4],
  [TUNSETCARRIER, 4],
]);
const TAKES_IFREQ: ReadonlySet<number> = new Set([TUNSETIFF, TUNSETQUEUE, SIOCSIFHWADDR, SIOCGIFHWADDR]);

const READABLE = EPOLLIN | EPOLLRDNORM;
const WRITABLE = EPOLLOUT | EPOLLWRNORM;

const bounce = new HostBuffer(64 * 1024 + 256);

function nameIn(ifreq: Buffer): string {
  return ifreq.toString('latin1', 0, IFNAMSIZ - 1).split('\0')[0]!;
}

export class TunFile extends FileDescription {
  private readonly net: NetNamespace | null;
  private hostFd = -1;
  private name = '';

  constructor(t: CallContext, path: Path, inode: Inode, flags: number) {
    super(path, inode, flags);
    this.net = netNsOf(t);
    if (this.net !== null) useNamespace(this.net);
  }

  /** A read is a frame, and so is a write. */
  override get messages(): boolean {
    return true;
  }

  override get fasync(): boolean {
    return true;
  }

  override read(_t: CallContext, buf: Uint8Array, off: number, len: number): number {
    if (this.hostFd < 0) return -EBADFD;
    const addr = hostAddressOf(buf, off, len);
    if (addr >= 0) return readNow(this.hostFd, addr, len);
    const n = readNow(this.hostFd, bounce.addr, Math.min(len, bounce.size));
    if (n > 0) buf.set(bounce.bytes.subarray(0, n), off);
    return n;
  }

  override write(_t: CallContext, buf: Uint8Array, off: number, len: number): number {
    if (this.hostFd < 0) return -EBADFD;
    const addr = hostAddressOf(buf, off, len);
    if (addr >= 0) return writeNow(this.hostFd, addr, len);
    const n = Math.min(len, bounce.size);
    bounce.bytes.set(buf.subarray(off, off + n));
    return writeNow(this.hostFd, bounce.addr, n);
  }

  override poll(): number {
    if (this.hostFd < 0) return EPOLLERR;
    const r = pollNow(this.hostFd, READABLE | WRITABLE);
    return r < 0 ? EPOLLERR : r;
  }

  override ioctl(t: CallContext, cmd: number, arg: number): number {
    const ifreq = Buffer.alloc(IFREQ_SIZE);
    if (TAKES_IFREQ.has(cmd) && t.mem.copyIn(arg, ifreq, 0, IFREQ_SIZE) !== 0) return -EFAULT;
    if (cmd === TUNGETFEATURES) return t.mem.writeU32(arg, FEATURES);
    if (cmd === TUNSETIFF) return this.attach(t, ifreq, arg);
    if (this.hostFd < 0) return -EBADFD;
    if (cmd === TUNSETOWNER || cmd === TUNSETGROUP) return this.setUser(t, cmd === TUNSETOWNER, arg | 0);
    const network = networkOf(this.net);
    if (BY_VALUE.has(cmd)) {
      ifreq.writeInt32LE(arg | 0, 0);
      return network.setTun(this.hostFd, cmd, ifreq);
    }
    const given = SETS.get(cmd);
    if (given !== undefined) {
      if (t.mem.copyIn(arg, ifreq, 0, given) !== 0) return -EFAULT;
      return network.setTun(this.hostFd, cmd, ifreq);
    }
    const told = GETS.get(cmd);
    if (told === undefined) return -EINVAL;
    const r = network.setTun(this.hostFd, cmd, ifreq);
    return r < 0 ? r : t.mem.copyOut(arg, ifreq, 0, told);
  }

  /** tun_set_iff(); tun_not_capable() for interfaces that are there. */
  private attach(t: CallContext, ifreq: Buffer, arg: number): number {
    if (this.hostFd >= 0) return -EEXIST;
    ifreq[IFNAMSIZ - 1] = 0;
    const wanted = nameIn(ifreq);
    const may = t.creds.hasIn(CAP_NET_ADMIN, this.net?.owner ?? null);
    const network = networkOf(this.net);
    const there = deviceList(this.net).some((d) => d.name === wanted);
    if (!may && !(there && this.isUser(t, wanted))) return -EPERM;
    const fd = network.openTun(ifreq);
    if (fd < 0) return fd;
    this.hostFd = fd;
    this.name = nameIn(ifreq);
    if (!there) forgetTunUsers(network, this.name);
    hostPoller().addEdges(fd, EPOLLIN | EPOLLOUT, (events) => {
      const e = events & (EPOLLIN | EPOLLOUT | EPOLLERR);
      const bands = ((e & EPOLLIN) !== 0 ? EPOLLRDNORM : 0) | ((e & EPOLLOUT) !== 0 ? EPOLLWRNORM : 0);
      this.waiters.wake(e | bands);
    });
    // Who waited for an interface looks again.
    this.waiters.wake(WRITABLE);
    return t.mem.copyOut(arg, ifreq, 0, IFREQ_SIZE);
  }

  private isUser(t: CallContext, name: string): boolean {
    const u = tunUsers(networkOf(this.net), name);
    return (u.uid === -1 || u.uid === t.creds.euid) && (u.gid === -1 || t.creds.inGroup(u.gid));
  }

  private setUser(t: CallContext, owner: boolean, id: number): number {
    const ns = t.creds.userNs;
    const kernelId = owner ? ns.toUid(id) : ns.toGid(id);
    if (kernelId < 0) return -EINVAL;
    setTunUser(networkOf(this.net), this.name, owner, kernelId);
    return 0;
  }

  protected override release(): void {
    if (this.hostFd >= 0) {
      hostPoller().remove(this.hostFd);
      close(this.hostFd);
    }
    if (this.net !== null) leaveNamespace(this.net);
  }
}
