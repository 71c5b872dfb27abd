/** Interfaces by ioctl (netdevice(7)): an allow-list of calls with a struct ifreq. */
import { EFAULT, EINVAL, ENOTTY, EOPNOTSUPP, EPERM } from '../../abi/errno.ts';
import { ioctl as hostIoctl } from '../../host/file-io.ffi.ts';
import { CAP_NET_ADMIN } from '../../auth/capability.ts';
import type { UserNamespace } from '../../auth/credentials.ts';
import { HostBuffer } from '../../host/memory.ffi.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Network } from '../network.ts';
import { ethtool, SIOCETHTOOL } from './ethtool.ts';

const SIOCGIFCONF = 0x8912;
const SIOCGIFINDEX = 0x8933;
const SIOCGMIIPHY = 0x8947;
const SIOCGMIIREG = 0x8948;
/** NAME, FLAGS, ADDR, DSTADDR, BRDADDR, NETMASK, METRIC, MTU, HWADDR, INDEX, TXQLEN, MAP */
const IFREQ_READ = [
  0x8910, 0x8913, 0x8915, 0x8917, 0x8919, 0x891b, 0x891d, 0x8921, 0x8927, 0x8933, 0x8942, 0x8970,
];
/** The settings that belong to them, NAME first; ADDMULTI, DELMULTI, HWBROADCAST. */
const IFREQ_WRITE = [
  0x8923, 0x8914, 0x8916, 0x8918, 0x891a, 0x891c, 0x891e, 0x8922, 0x8924, 0x8943, 0x8971, 0x8931, 0x8932,
  0x8937,
];
const IFREQ_SIZE = 40;
const IFCONF_SIZE = 16;
const LIST_MAX = 16 * 1024;

const ifreq = new HostBuffer(IFREQ_SIZE);
const ifconf = new HostBuffer(IFCONF_SIZE);
const list = new HostBuffer(LIST_MAX);

/** Interfaces without registers of their own: the loopback interface, veth. */
function noMii(t: CallContext, hostFd: number, arg: number): number {
  if (t.mem.copyIn(arg, ifreq.bytes, 0, IFREQ_SIZE) !== 0) return -EFAULT;
  const r = hostIoctl(hostFd, SIOCGIFINDEX, ifreq.addr);
  return r < 0 ? r : -EOPNOTSUPP;
}

/** `hostFd`: a socket in `network`; `owner`: whom that belongs to. */
export function netIoctl(
  t: CallContext,
  network: Network,
  hostFd: number,
  owner: UserNamespace | null,
  cmd: number,
  arg: number,
): number {
  const write = IFREQ_WRITE.includes(cmd);
  if (cmd === SIOCGMIIPHY || cmd === SIOCGMIIREG) return noMii(t, hostFd, arg);
  if (cmd !== SIOCGIFCONF && cmd !== SIOCETHTOOL && !write && !IFREQ_READ.includes(cmd)) return -ENOTTY;
  if (hostFd < 0) return hostFd;
  if (cmd === SIOCGIFCONF) return listInterfaces(t, hostFd, arg);
  if (t.mem.copyIn(arg, ifreq.bytes, 0, IFREQ_SIZE) !== 0) return -EFAULT;
  if (cmd === SIOCETHTOOL) return ethtool(t, hostFd, ifreq);
  if (write) {
    return t.creds.hasIn(CAP_NET_ADMIN, owner) ? network.setInterface(cmd, ifreq.bytes) : -EPERM;
  }
  const r = hostIoctl(hostFd, cmd, ifreq.addr);
  return r < 0 ? r : t.mem.copyOut(arg, ifreq.bytes, 0, IFREQ_SIZE);
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
