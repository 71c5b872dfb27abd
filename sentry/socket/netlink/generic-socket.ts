/**
 * NETLINK_GENERIC (net/netlink/genetlink.c) with its controller as the only family: questions for others are answered as by a
 * kernel without them.
 */
import { EINVAL, ENOENT, EOPNOTSUPP } from '../../abi/errno.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { nlattr } from './attribute.ts';
import { HDR, NetlinkSocket, NLM_F_ACK, NLM_F_DUMP, NLM_F_MULTI } from './netlink-socket.ts';

/** GENL_ID_CTRL, also the number of its multicast group "notify". */
const GENL_ID_CTRL = 16;
const GENL_HDR = 4;
const CTRL_CMD_NEWFAMILY = 1;
const CTRL_CMD_GETFAMILY = 3;
const CTRL_CMD_GETPOLICY = 10;
const CTRL_ATTR_FAMILY_ID = 1;
const CTRL_ATTR_FAMILY_NAME = 2;
const CTRL_ATTR_VERSION = 3;
const CTRL_ATTR_HDRSIZE = 4;
const CTRL_ATTR_MAXATTR = 5;
const CTRL_ATTR_OPS = 6;
const CTRL_ATTR_MCAST_GROUPS = 7;
const CTRL_VERSION = 2;

function word(n: number): Buffer {
  const b = Buffer.alloc(4);
  b.writeUInt32LE(n, 0);
  return b;
}

/** GENL_CMD_CAP_DO, DUMP, HASPOL */
const OPERATIONS: readonly (readonly [command: number, flags: number])[] = [
  [CTRL_CMD_GETFAMILY, 0xe],
  [CTRL_CMD_GETPOLICY, 0xc],
];

/** ctrl_fill_info() of the controller itself. */
function controller(): Buffer {
  const operations = OPERATIONS.map(([command, flags], i) =>
    nlattr(i + 1, Buffer.concat([nlattr(1, word(command)), nlattr(2, word(flags))])),
  );
  const notify = nlattr(
    1,
    Buffer.concat([nlattr(2, word(GENL_ID_CTRL)), nlattr(1, Buffer.from('notify\0'))]),
  );
  return Buffer.concat([
    Buffer.alloc(HDR),
    Buffer.from([CTRL_CMD_NEWFAMILY, CTRL_VERSION, 0, 0]),
    nlattr(CTRL_ATTR_FAMILY_NAME, Buffer.from('nlctrl\0')),
    nlattr(CTRL_ATTR_FAMILY_ID, Buffer.from([GENL_ID_CTRL, 0])),
    nlattr(CTRL_ATTR_VERSION, word(CTRL_VERSION)),
    nlattr(CTRL_ATTR_HDRSIZE, word(0)),
    nlattr(CTRL_ATTR_MAXATTR, word(0)),
    nlattr(CTRL_ATTR_OPS, Buffer.concat(operations)),
    nlattr(CTRL_ATTR_MCAST_GROUPS, notify),
  ]);
}

/** Whether CTRL_CMD_GETFAMILY asks for the controller; −EINVAL if for nothing. */
function asksForController(m: Buffer): boolean | number {
  let asked: boolean | number = -EINVAL;
  for (let at = HDR + GENL_HDR; at + 4 <= m.length;) {
    const len = m.readUInt16LE(at);
    if (len < 4 || at + len > m.length) break;
    const type = m.readUInt16LE(at + 2);
    if (type === CTRL_ATTR_FAMILY_ID && len >= 6) asked = m.readUInt16LE(at + 4) === GENL_ID_CTRL;
    if (type === CTRL_ATTR_FAMILY_NAME)
      asked = m.toString('latin1', at + 4, at + len).split('\0')[0] === 'nlctrl';
    at += Math.ceil(len / 4) * 4;
  }
  return asked;
}

export class GenericSocket extends NetlinkSocket {
  protected override request(_t: CallContext, m: Buffer): void {
    const type = m.readUInt16LE(4);
    const flags = m.readUInt16LE(6);
    if (type !== GENL_ID_CTRL) return this.error(m, ENOENT);
    if (m.length < HDR + GENL_HDR) return this.error(m, EINVAL);
    const dump = (flags & NLM_F_DUMP) !== 0;
    if (m[HDR] !== CTRL_CMD_GETFAMILY) return this.error(m, EOPNOTSUPP);
    const asked = dump ? true : asksForController(m);
    if (asked !== true) return this.error(m, asked === false ? ENOENT : -asked);
    const answer = controller();
    this.header(answer, GENL_ID_CTRL, dump ? NLM_F_MULTI : 0, m);
    this.push(answer);
    if (dump) this.done(m);
    else if ((flags & NLM_F_ACK) !== 0) this.error(m, 0);
  }
}
