/** /sys/class/net and /sys/devices/virtual/net (Documentation/ABI/testing/sysfs-class-net): the interfaces of the sandbox. */
import { DT_DIR, DT_LNK } from '../../abi/stat.ts';
import type { Inode } from '../../vfs/inode.ts';
import { StaticDir } from '../kernfs/dir.ts';
import { KernfsFile, refuseWriters } from '../kernfs/file.ts';
import { KernfsLink } from '../kernfs/link.ts';
import type { KernfsSuperBlock } from '../kernfs/super-block.ts';
import { deviceList, InterfacesDir, type NetDevice } from '../net-devices.ts';

/** st_size of every attribute. */
const ATTRIBUTE = { size: 4096, onOpen: refuseWriters };
/** RFC 2863 states by IF_OPER_* (net/core/net-sysfs.c operstates). */
const OPER_STATES = ['unknown', 'notpresent', 'down', 'lowerlayerdown', 'testing', 'dormant', 'up'];
/** struct rtnl_link_stats64 in its order, as files. */
const STATISTICS = [
  'rx_packets', 'tx_packets', 'rx_bytes', 'tx_bytes', 'rx_errors', 'tx_errors', 'rx_dropped', 'tx_dropped',
  'multicast', 'collisions', 'rx_length_errors', 'rx_over_errors', 'rx_crc_errors', 'rx_frame_errors', 'rx_fifo_errors',
  'rx_missed_errors', 'tx_aborted_errors', 'tx_carrier_errors', 'tx_fifo_errors', 'tx_heartbeat_errors',
  'tx_window_errors', 'rx_compressed', 'tx_compressed', 'rx_nohandler',
]; // prettier-ignore

const ATTRIBUTES: Readonly<Record<string, (d: NetDevice) => string | number>> = {
  addr_assign_type: () => 0,
  addr_len: () => 6,
  address: (d) => d.address,
  broadcast: (d) => d.broadcast,
  carrier: (d) => d.carrier,
  dev_id: () => '0x0',
  dormant: () => 0,
  // Without IFF_RUNNING and what lies above IFF_DYNAMIC: netlink adds these states of the link (dev_get_flags()).
  flags: (d) => `0x${(d.flags & 0xffbf).toString(16)}`,
  ifalias: () => '',
  ifindex: (d) => d.index,
  iflink: (d) => d.link,
  link_mode: () => 0,
  mtu: (d) => d.mtu,
  operstate: (d) => OPER_STATES[d.operState] ?? 'unknown',
  tx_queue_len: (d) => d.txQueueLength,
  type: (d) => d.type,
  uevent: (d) => `INTERFACE=${d.name}\nIFINDEX=${d.index}`,
};

/** /sys/devices/virtual/net */
export class NetDevicesDir extends InterfacesDir {
  protected override readonly entryType = DT_DIR;

  protected override make(name: string): Inode {
    const sb = this.sb as KernfsSuperBlock;
    const dir = new StaticDir(sb, 0o755);
    const add = (to: StaticDir, file: string, value: (d: NetDevice) => string | number): void => {
      const text = (): string => {
        const d = deviceList(this.net).find((x) => x.name === name);
        return d === undefined ? '' : `${value(d)}\n`;
      };
      to.add(file, new KernfsFile(sb, 0o444, text, ATTRIBUTE));
    };
    for (const [file, value] of Object.entries(ATTRIBUTES)) add(dir, file, value);
    if (deviceList(this.net).find((x) => x.name === name)?.tun != null) {
      add(dir, 'tun_flags', (d) => `0x${(d.tun?.flags ?? 0).toString(16)}`);
      add(dir, 'owner', (d) => d.tun?.owner ?? -1);
      add(dir, 'group', (d) => d.tun?.group ?? -1);
    }
    const statistics = new StaticDir(sb, 0o755);
    STATISTICS.forEach((file, i) => add(statistics, file, (d) => d.counters[i] ?? 0));
    return dir.add('statistics', statistics);
  }
}

/** /sys/class/net */
export class NetClassDir extends InterfacesDir {
  protected override readonly entryType = DT_LNK;

  protected override make(name: string): Inode {
    return new KernfsLink(this.sb as KernfsSuperBlock, () => `../../devices/virtual/net/${name}`);
  }
}
