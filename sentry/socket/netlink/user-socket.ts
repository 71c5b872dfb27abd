/** NETLINK_USERSOCK: messages between programs; the kernel takes no part. */
import type { CallContext } from '../../vfs/call-context.ts';
import { NetlinkSocket } from './netlink-socket.ts';

export class UserSocket extends NetlinkSocket {
  protected override get everybodyReceives(): boolean {
    return false;
  }

  protected override get everybodySends(): boolean {
    return true;
  }

  protected override get hasKernel(): boolean {
    return false;
  }

  protected override request(_t: CallContext, _m: Buffer): void {}
}
