/**
 * Interfaces and routes by ioctl (netdevice(7); net/core/dev_ioctl.c, net/ipv4/af_inet.c inet_ioctl, net/ipv6/af_inet6.c inet6_ioctl): an
 * allow-list of calls with a struct ifreq goes to the host, changes to the networker. What no driver here has is told as Linux does.
 */
import {
  EAFNOSUPPORT,
  EFAULT,
  EINVAL,
  ENODEV,
  ENOENT,
  ENOTTY,
  EOPNOTSUPP,
  EPERM,
  EPFNOSUPPORT,
} from '../../abi/errno.ts';
import { AF_INET, AF_INET6, AF_PACKET, AF_UNIX } from '../../abi/socket.ts';
import { ioctl as hostIoctl } from '../../host/file-io.ffi.ts';
import { CAP_NET_ADMIN } from '../../auth/capability.ts';
import type { UserNamespace } from '../../auth/credentials.ts';
import { HostBuffer } from '../../host/memory.ffi.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Network } from '../network.ts';
import { ethtool, SIOCETHTOOL } from './ethtool.ts';

const SOCK_IOC_TYPE = 0x89;
const SIOCADDRT = 0x890b;
const SIOCDELRT = 0x890c;
const SIOCRTMSG = 0x890d;
const SIOCGIFCONF = 0x8912;
const SIOCGIFSLAVE = 0x8929;
const SIOCGIFINDEX = 0x8933;
const SIOCSIFPFLAGS = 0x8934;
const SIOCGIFPFLAGS = 0x8935;
const SIOCDIFADDR = 0x8936;
const SIOCDARP = 0x8953;
const SIOCGARP = 0x8954;
const SIOCSARP = 0x8955;
const SIOCSHWTSTAMP = 0x89b0;
const SIOCUNIXFILE = 0x89e0;
const SIOCDEVPRIVATE = 0x89f0;
const SIOCDEVPRIVATE_LAST = 0x89ff;

/** NAME, FLAGS, METRIC, MTU, HWADDR, INDEX, TXQLEN, MAP */
const IFREQ_READ = [0x8910, 0x8913, 0x891d, 0x8921, 0x8927, 0x8933, 0x8942, 0x8970];
/** The settings that belong to them, NAME first; ADDMULTI, DELMULTI, HWBROADCAST. */
const IFREQ_WRITE = [0x8923, 0x8914, 0x891e, 0x8922, 0x8924, 0x8943, 0x8971, 0x8931, 0x8932, 0x8937];
/** ADDR, DSTADDR, BRDADDR, NETMASK: of IPv4 sockets, and of packet sockets. */
const ADDRESS_READ = [0x8915, 0x8917, 0x8919, 0x891b];
const ADDRESS_WRITE = [0x8916, 0x8918, 0x891a, 0x891c];
/** SIOCSIFADDR, SIFDSTADDR, DIFADDR with a struct in6_ifreq. */
const ADDRESS6_WRITE = [0x8916, 0x8918, SIOCDIFADDR];
/** MIIPHY, MIIREG, SMIIREG, BONDENSLAVE to BONDCHANGEACTIVE: drivers' own, for CAP_NET_ADMIN. */
const DRIVER_ADMIN = [0x8947, 0x8948, 0x8949, 0x8990, 0x8991, 0x8992, 0x8995, SIOCSHWTSTAMP];
/** SIOCSIFSLAVE: nobody has it. */
const SIOCSIFSLAVE = 0x8930;
/** WANDEV, BONDSLAVEINFOQUERY, BONDINFOQUERY, GHWTSTAMP: drivers' own, for everybody; and the private ones. */
const DRIVER_ALL = [0x894a, 0x8993, 0x8994, 0x89b1];

/**
 * SIOCGSTAMP and SIOCGSTAMPNS, old and new, which are the same here; and what the host is asked. Internet and packet sockets have them.
 */
export const STAMPS: ReadonlyMap<number, number> = new Map([
  [0x8906, 0x8906],
  [0x8907, 0x8907],
  [0x80108906, 0x8906],
  [0x80108907, 0x8907],
]);

const IFREQ_SIZE = 40;
const IFR_DATA = 16;
const IFCONF_SIZE = 16;
/** sizeof(struct rtentry), struct in6_rtmsg, struct arpreq */
const RTENTRY_SIZE = 120;
const RTENTRY_DEV = 88;
const RTENTRY_DST = 8;
const IN6_RTMSG_SIZE = 80;
const IN6_IFREQ_SIZE = 24;
const ARPREQ_SIZE = 68;
const LIST_MAX = 16 * 1024;

const ifreq = new HostBuffer(IFREQ_SIZE);
const ifconf = new HostBuffer(IFCONF_SIZE);
const list = new HostBuffer(LIST_MAX);

/** Whose ioctl it is: `hostFd`: a socket in `network`; `owner`: whom that belongs to; `domain`: of the guest's socket. */
export interface NetIoctl {
  readonly network: Network;
  readonly hostFd: number;
  readonly owner: UserNamespace | null;
  readonly domain: number;
}

export function netIoctl(t: CallContext, on: NetIoctl, cmd: number, arg: number): number {
  if (Math.floor(cmd / 256) % 256 !== SOCK_IOC_TYPE || STAMPS.has(cmd)) return -ENOTTY;
  const may = t.creds.hasIn(CAP_NET_ADMIN, on.owner);
  const own = familyIoctl(t, on, cmd, arg, may);
  if (own !== null) return own;
  if (on.hostFd < 0) return on.hostFd;
  if (cmd === SIOCGIFCONF) return listInterfaces(t, on.hostFd, arg);
  if (t.mem.copyIn(arg, ifreq.bytes, 0, IFREQ_SIZE) !== 0) return -EFAULT;
  if (cmd === SIOCETHTOOL) return ethtool(t, on.hostFd, ifreq);
  if (IFREQ_READ.includes(cmd)) return ask(t, on.hostFd, cmd, arg);
  if (IFREQ_WRITE.includes(cmd)) return may ? on.network.setInterface(cmd, ifreq.bytes) : -EPERM;
  return driverIoctl(t, on.hostFd, cmd, may);
}

function ask(t: CallContext, hostFd: number, cmd: number, arg: number): number {
  const r = hostIoctl(hostFd, cmd, ifreq.addr);
  return r < 0 ? r : t.mem.copyOut(arg, ifreq.bytes, 0, IFREQ_SIZE);
}

/** What drivers would do: those of the interfaces here have none of it. */
function driverIoctl(t: CallContext, hostFd: number, cmd: number, may: boolean): number {
  const slave = cmd === SIOCGIFSLAVE || cmd === SIOCSIFSLAVE;
  const admin = DRIVER_ADMIN.includes(cmd) || cmd === SIOCSIFSLAVE;
  const isPrivate = cmd >= SIOCDEVPRIVATE && cmd <= SIOCDEVPRIVATE_LAST;
  if (!slave && !admin && !isPrivate && !DRIVER_ALL.includes(cmd)) return -ENOTTY;
  if (admin && !may) return -EPERM;
  const data = ifreq.u32[IFR_DATA / 4 + 1]! * 0x100000000 + ifreq.u32[IFR_DATA / 4]!;
  if (hostIoctl(hostFd, SIOCGIFINDEX, ifreq.addr) < 0) return -ENODEV;
  if (cmd === SIOCSHWTSTAMP && t.mem.copyIn(data, ifreq.bytes, 0, 12) !== 0) return -EFAULT;
  return slave ? -EINVAL : -EOPNOTSUPP;
}

/** proto_ops.ioctl of the family; null: it has no such call. */
function familyIoctl(t: CallContext, on: NetIoctl, cmd: number, arg: number, may: boolean): number | null {
  if (on.domain === AF_UNIX && cmd === SIOCUNIXFILE) return may ? -ENOENT : -EPERM;
  if (on.domain === AF_INET6) return inet6Ioctl(t, on, cmd, arg, may);
  if (on.domain !== AF_INET && on.domain !== AF_PACKET) return null;
  if (ADDRESS_READ.includes(cmd)) {
    return t.mem.copyIn(arg, ifreq.bytes, 0, IFREQ_SIZE) !== 0 ? -EFAULT : ask(t, on.hostFd, cmd, arg);
  }
  if (ADDRESS_WRITE.includes(cmd)) {
    if (t.mem.copyIn(arg, ifreq.bytes, 0, IFREQ_SIZE) !== 0) return -EFAULT;
    return may ? on.network.setInterface(cmd, ifreq.bytes) : -EPERM;
  }
  switch (cmd) {
    case SIOCADDRT:
    case SIOCDELRT:
      return changeRoute(t, on.network, cmd, arg, may);
    case SIOCDARP:
    case SIOCSARP:
      return may ? neighbour(t, on, cmd, arg) : -EPERM;
    case SIOCGARP:
      return neighbour(t, on, cmd, arg);
    default:
  }
  if (on.domain === AF_PACKET) return null;
  if (cmd === SIOCRTMSG) return -EINVAL;
  if (cmd !== SIOCSIFPFLAGS && cmd !== SIOCGIFPFLAGS) return null;
  return t.mem.copyIn(arg, ifreq.bytes, 0, IFREQ_SIZE) !== 0 ? -EFAULT : -EINVAL;
}

function inet6Ioctl(t: CallContext, on: NetIoctl, cmd: number, arg: number, may: boolean): number | null {
  const route = cmd === SIOCADDRT || cmd === SIOCDELRT;
  if (!route && !ADDRESS6_WRITE.includes(cmd)) return null;
  if (!route && !may) return -EPERM;
  const value = Buffer.alloc(route ? IN6_RTMSG_SIZE : IN6_IFREQ_SIZE);
  if (t.mem.copyIn(arg, value, 0, value.length) !== 0) return -EFAULT;
  return may ? on.network.setInterface(cmd, value, AF_INET6) : -EPERM;
}

/** struct rtentry; the name of the device that it points to goes along behind it. */
function changeRoute(t: CallContext, network: Network, cmd: number, arg: number, may: boolean): number {
  const value = Buffer.alloc(RTENTRY_SIZE + 16);
  if (t.mem.copyIn(arg, value, 0, RTENTRY_SIZE) !== 0) return -EFAULT;
  if (!may) return -EPERM;
  if (value.readUInt16LE(RTENTRY_DST) !== AF_INET) return -EAFNOSUPPORT;
  const device = value.readUInt32LE(RTENTRY_DEV + 4) * 0x100000000 + value.readUInt32LE(RTENTRY_DEV);
  if (device === 0) return network.setInterface(cmd, value.subarray(0, RTENTRY_SIZE));
  if (t.mem.copyIn(device, value, RTENTRY_SIZE, 15) !== 0) return -EFAULT;
  return network.setInterface(cmd, value);
}

/** arp(7): struct arpreq. */
function neighbour(t: CallContext, on: NetIoctl, cmd: number, arg: number): number {
  if (t.mem.copyIn(arg, list.bytes, 0, ARPREQ_SIZE) !== 0) return -EFAULT;
  if (list.u32[0]! % 0x10000 !== AF_INET) return -EPFNOSUPPORT;
  if (cmd !== SIOCGARP) return on.network.setInterface(cmd, list.bytes.subarray(0, ARPREQ_SIZE));
  const r = hostIoctl(on.hostFd, cmd, list.addr);
  return r < 0 ? r : t.mem.copyOut(arg, list.bytes, 0, ARPREQ_SIZE);
}

/** struct ifconf { int ifc_len; char *ifc_buf }: a null buffer asks for the size. */
function listInterfaces(t: CallContext, hostFd: number, arg: number): number {
  if (t.mem.copyIn(arg, ifconf.bytes, 0, IFCONF_SIZE) !== 0) return -EFAULT;
  const room = ifconf.i32[0]!;
  const guestBuf = ifconf.u32[3]! * 0x100000000 + ifconf.u32[2]!;
  if (guestBuf !== 0 && room < 0) return -EINVAL;
  ifconf.i32[0] = guestBuf === 0 ? LIST_MAX : Math.min(room, LIST_MAX);
  ifconf.u32[2] = list.addr >>> 0;
  ifconf.u32[3] = Math.floor(list.addr / 0x100000000);
  list.bytes.fill(0);
  const r = hostIoctl(hostFd, SIOCGIFCONF, ifconf.addr);
  if (r < 0) return r;
  const n = Math.max(0, Math.min(ifconf.i32[0]!, LIST_MAX));
  if (guestBuf !== 0 && t.mem.copyOut(guestBuf, list.bytes, 0, n) !== 0) return -EFAULT;
  return t.mem.writeU32(arg, n);
}
