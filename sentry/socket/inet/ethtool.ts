/**
 * SIOCETHTOOL: questions about interfaces that Linux answers to anybody (net/ethtool/ioctl.c __dev_ethtool). The guest's request is
 * built anew; the host's answer is as long as the command says.
 */
import { EFAULT, EPERM } from '../../abi/errno.ts';
import { ioctl as hostIoctl } from '../../host/file-io.ffi.ts';
import { HostBuffer } from '../../host/memory.ffi.ts';
import type { CallContext } from '../../vfs/call-context.ts';

export const SIOCETHTOOL = 0x8946;

/** Bytes that a command takes and gives, if always as many. */
const SIZES = new Map([
  // ETHTOOL_GSET, GDRVINFO, GMSGLVL, GLINK, GCOALESCE, GRINGPARAM, GPAUSEPARAM
  [0x01, 44], [0x03, 196], [0x07, 8], [0x0a, 8], [0x0e, 92], [0x10, 36], [0x12, 16],
  // GRXCSUM, GTXCSUM, GSG, GTSO, GUFO, GGSO, GFLAGS, GPFLAGS, GGRO
  [0x14, 8], [0x16, 8], [0x18, 8], [0x1e, 8], [0x21, 8], [0x23, 8], [0x25, 8], [0x27, 8], [0x2b, 8],
  // GCHANNELS, GET_TS_INFO, GEEE
  [0x3c, 36], [0x41, 44], [0x44, 40],
]); // prettier-ignore
const ETHTOOL_GSTRINGS = 0x1b;
const ETHTOOL_GSTATS = 0x1d;
const ETHTOOL_GPERMADDR = 0x20;
const ETHTOOL_GSSET_INFO = 0x37;
const ETHTOOL_GFEATURES = 0x3a;
const ETHTOOL_GLINKSETTINGS = 0x4c;
const ETH_GSTRING_LEN = 32;
/** The interface's address, link modes of GLINKSETTINGS in words. */
const MAX_ADDR_LEN = 32;
const LINK_MODE_WORDS = 127;
const GLINKSETTINGS_SIZE = 48;

const IFREQ_DATA = 16;
/** Strings and statistics of an interface: the host's kernel writes as many as the driver has, whatever was asked for. */
const request = new HostBuffer(1024 * 1024);
const word = new HostBuffer(16);

/** Bytes of `c`'s fixed part, and how many follow in an answer whose fixed part is in `request`. */
interface Shape {
  readonly fixed: number;
  readonly follows: () => number;
}

const u32 = (at: number): number => request.view.getUint32(at, true);

function bitsIn(n: number): number {
  let count = 0;
  for (let left = n; left !== 0; left = (left & (left - 1)) >>> 0) count++;
  return count;
}

const SHAPES = new Map<number, Shape>([
  [ETHTOOL_GSTRINGS, { fixed: 12, follows: () => u32(8) * ETH_GSTRING_LEN }],
  [ETHTOOL_GSTATS, { fixed: 8, follows: () => u32(4) * 8 }],
  [ETHTOOL_GPERMADDR, { fixed: 8, follows: () => Math.min(u32(4), MAX_ADDR_LEN) }],
  [ETHTOOL_GSSET_INFO, { fixed: 16, follows: () => 4 * (bitsIn(u32(8)) + bitsIn(u32(12))) }],
  [ETHTOOL_GFEATURES, { fixed: 8, follows: () => u32(4) * 16 }],
  [
    ETHTOOL_GLINKSETTINGS,
    // Three sets of link modes; a negative count tells how many words there are.
    {
      fixed: GLINKSETTINGS_SIZE,
      follows: () => 12 * Math.max(0, Math.min(request.view.getInt8(14), LINK_MODE_WORDS)),
    },
  ],
]);

/** `ifreq`: the guest's struct, whose name the host looks at. */
export function ethtool(t: CallContext, hostFd: number, ifreq: HostBuffer): number {
  const data = ifreq.u32[IFREQ_DATA / 4 + 1]! * 0x100000000 + ifreq.u32[IFREQ_DATA / 4]!;
  if (t.mem.copyIn(data, word.bytes, 0, 4) !== 0) return -EFAULT;
  const cmd = word.u32[0]!;
  const shape = SHAPES.get(cmd);
  const fixed = shape?.fixed ?? SIZES.get(cmd);
  // Everything else wants CAP_NET_ADMIN, or is not known to this kernel.
  if (fixed === undefined) return -EPERM;
  request.bytes.fill(0);
  if (t.mem.copyIn(data, request.bytes, 0, fixed) !== 0) return -EFAULT;
  request.u32[0] = cmd;
  ifreq.u32[IFREQ_DATA / 4] = request.addr >>> 0;
  ifreq.u32[IFREQ_DATA / 4 + 1] = Math.floor(request.addr / 0x100000000);
  const r = hostIoctl(hostFd, SIOCETHTOOL, ifreq.addr);
  if (r < 0) return r;
  const size = Math.min(request.size, fixed + (shape === undefined ? 0 : shape.follows()));
  return t.mem.copyOut(data, request.bytes, 0, size) !== 0 ? -EFAULT : r;
}
