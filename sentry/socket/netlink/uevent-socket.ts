/** NETLINK_KOBJECT_UEVENT (lib/kobject_uevent.c): a group to be told of devices, of which none come and go here. */
import { EPERM } from '../../abi/errno.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { NetlinkSocket, NLM_F_REQUEST } from './netlink-socket.ts';

export class UeventSocket extends NetlinkSocket {
  protected override get groupCount(): number {
    return 1;
  }

  /** uevent_net_rcv_skb(): events of a sandbox's own are nobody's. */
  protected override request(_t: CallContext, m: Buffer): void {
    if ((m.readUInt16LE(6) & NLM_F_REQUEST) !== 0) this.error(m, EPERM);
  }
}
