/**
 * What /proc/net, /sys/class/net and others ask the socket implementations for, through `netTables`; without them the network is
 * a loopback device.
 */
import { ENOENT } from '../abi/errno.ts';
import type { NetNamespace } from '../kernel/namespaces.ts';
import type { CallContext } from '../vfs/call-context.ts';
import type { Inode } from '../vfs/inode.ts';
import { FIRST_ENTRY, KernfsDir, type KernfsEntry } from './kernfs/dir.ts';
import type { KernfsSuperBlock } from './kernfs/super-block.ts';

/** An interface as rtnetlink(7) describes it. */
export interface NetDevice {
  readonly name: string;
  readonly index: number;
  /** Index of the device below or at the other end; its own if there is none. */
  readonly link: number;
  /** ARPHRD_* */
  readonly type: number;
  /** IFF_* */
  readonly flags: number;
  readonly mtu: number;
  readonly txQueueLength: number;
  /** `02:42:ac:11:00:02` */
  readonly address: string;
  readonly broadcast: string;
  /** IF_OPER_* */
  readonly operState: number;
  readonly carrier: number;
  /** Of interfaces of /dev/net/tun: its flags, and who may use it (−1: not set). */
  readonly tun: { readonly flags: number; readonly owner: number; readonly group: number } | null;
  /** struct rtnl_link_stats64, in its order. */
  readonly counters: readonly number[];
}

/** Lines (with line feeds) below the headings of these files; set by the socket implementations. */
export type SocketTable =
  | 'unix'
  | 'tcp'
  | 'tcp6'
  | 'udp'
  | 'udp6'
  | 'udplite'
  | 'udplite6'
  | 'icmp'
  | 'icmp6'
  | 'raw'
  | 'raw6'
  | 'packet'
  | 'netlink';

export const netTables: {
  sockets: ((ns: NetNamespace | null, table: SocketTable) => string) | null;
  /** Open sockets of any kind. */
  count: ((ns: NetNamespace | null, family: number, type: number) => number) | null;
  devices: ((ns: NetNamespace | null) => NetDevice[]) | null;
  /** The host's file of /proc/net about that network; null: it has none. */
  host: ((ns: NetNamespace | null, path: string) => string | null) | null;
} = { sockets: null, count: null, devices: null, host: null };

/** Where nobody knows of interfaces. */
const LOOPBACK: NetDevice = {
  name: 'lo',
  index: 1,
  link: 1,
  type: 772,
  flags: 0x10049,
  mtu: 65536,
  txQueueLength: 1000,
  address: '00:00:00:00:00:00',
  broadcast: '00:00:00:00:00:00',
  operState: 0,
  carrier: 1,
  tun: null,
  counters: [],
};

export function deviceList(ns: NetNamespace | null): readonly NetDevice[] {
  const found = netTables.devices?.(ns) ?? [];
  return found.length === 0 ? [LOOPBACK] : found;
}

/** One node per interface, made when it is first looked for. */
export abstract class InterfacesDir extends KernfsDir {
  private readonly nodes = new Map<string, Inode>();
  protected readonly net: NetNamespace | null;
  protected abstract readonly entryType: number;
  protected abstract make(name: string): Inode;

  constructor(sb: KernfsSuperBlock, net: NetNamespace | null, perm: number) {
    super(sb, perm);
    this.net = net;
  }

  override lookup(name: string): Inode | number {
    if (!deviceList(this.net).some((d) => d.name === name)) {
      this.nodes.delete(name);
      return -ENOENT;
    }
    return this.node(name);
  }

  private node(name: string): Inode {
    let node = this.nodes.get(name);
    if (node === undefined) this.nodes.set(name, (node = this.make(name)));
    return node;
  }

  override *entries(_t: CallContext, from: number): Iterable<KernfsEntry> {
    for (const d of deviceList(this.net)) {
      const off = FIRST_ENTRY + d.index;
      if (off >= from) yield { name: d.name, ino: this.node(d.name).ino, type: this.entryType, off };
    }
  }
}
