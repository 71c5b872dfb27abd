/**
 * NETLINK_KOBJECT_UEVENT (lib/kobject_uevent.c): a group to be told of devices. None come and go here, but who may can send news of some
 * to the members in his network (what a manager of devices does for containers).
 */
import { EINVAL, EPERM } from '../../abi/errno.ts';
import { CAP_SYS_ADMIN } from '../../auth/capability.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { HDR, NetlinkSocket, NLM_F_ACK } from './netlink-socket.ts';

const UEVENT_BUFFER_SIZE = 2048;
/** The kernel's news, as opposed to those of udev. */
const KERNEL_GROUP = 1;
let sequence = 0;

export class UeventSocket extends NetlinkSocket {
  /** uevent_net_rcv_skb() */
  protected override request(t: CallContext, m: Buffer): void {
    if (!t.creds.hasIn(CAP_SYS_ADMIN, this.net?.owner ?? null)) return this.error(m, EPERM);
    const number = `SEQNUM=${++sequence}\0`;
    if (m.length + number.length > UEVENT_BUFFER_SIZE) return this.error(m, EINVAL);
    const data = Buffer.concat([m.subarray(HDR), Buffer.from(number, 'latin1')]);
    for (const member of this.table.members)
      if (member.isMember(KERNEL_GROUP)) member.deliver(data, KERNEL_GROUP);
    if ((m.readUInt16LE(6) & NLM_F_ACK) !== 0) this.error(m, 0);
  }
}
