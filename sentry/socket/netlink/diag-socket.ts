/** NETLINK_SOCK_DIAG (sock_diag(7)): dumps of sockets, as ss(8) asks for them. */
import { EINVAL, ENOENT, EOPNOTSUPP } from '../../abi/errno.ts';
import * as S from '../../abi/socket.ts';
import type { NetNamespace } from '../../kernel/namespaces.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { inetDiag, inetDiagOne } from './inet-diag.ts';
import { netlinkDiag, packetDiag } from './link-diag.ts';
import { HDR, NetlinkSocket, NLM_F_DUMP, NLM_F_MULTI } from './netlink-socket.ts';
import { unixDiag, unixDiagOne } from './unix-diag.ts';

const SOCK_DIAG_BY_FAMILY = 20;
/** AF_MAX */
const FAMILIES = 46;
/** Datagrams of a dump are at most so long. */
const CHUNK = 4096;

interface Family {
  /** Size of the request. */
  readonly size: number;
  /** Answers without a header; null: ENOENT. */
  readonly dump: (ns: NetNamespace | null, req: Buffer) => Buffer[] | null;
  /** The one answer to a request that is no dump, or −errno. */
  readonly one?: (ns: NetNamespace | null, req: Buffer) => Buffer | number;
}

const DUMPS = new Map<number, Family>([
  [S.AF_INET, { size: 56, dump: inetDiag, one: inetDiagOne }],
  [S.AF_INET6, { size: 56, dump: inetDiag, one: inetDiagOne }],
  [S.AF_UNIX, { size: 24, dump: unixDiag, one: unixDiagOne }],
  [S.AF_PACKET, { size: 20, dump: packetDiag }],
  [S.AF_NETLINK, { size: 20, dump: netlinkDiag }],
]);

export class DiagSocket extends NetlinkSocket {
  protected override request(_t: CallContext, m: Buffer): void {
    const flags = m.readUInt16LE(6);
    if (m.readUInt16LE(4) !== SOCK_DIAG_BY_FAMILY || m.length < HDR + 2) return this.error(m, EINVAL);
    const family = DUMPS.get(m[HDR]!);
    if (family === undefined) return this.error(m, m[HDR]! < FAMILIES ? ENOENT : EINVAL);
    if (m.length < HDR + family.size) return this.error(m, EINVAL);
    if ((flags & NLM_F_DUMP) === 0) {
      const found = family.one?.(this.net, m.subarray(HDR)) ?? -EOPNOTSUPP;
      if (typeof found === 'number') return this.error(m, -found);
      this.push(this.whole(m, found, 0));
      return;
    }
    const messages = family.dump(this.net, m.subarray(HDR));
    if (messages === null) return this.error(m, ENOENT);
    this.answer(m, messages);
  }

  private whole(m: Buffer, body: Buffer, flags: number): Buffer {
    const whole = Buffer.concat([Buffer.alloc(HDR), body]);
    this.header(whole, SOCK_DIAG_BY_FAMILY, flags, m);
    return whole;
  }

  private answer(m: Buffer, messages: readonly Buffer[]): void {
    let chunk: Buffer[] = [];
    let size = 0;
    for (const body of messages) {
      const whole = this.whole(m, body, NLM_F_MULTI);
      if (size > 0 && size + whole.length > CHUNK) {
        this.push(Buffer.concat(chunk));
        chunk = [];
        size = 0;
      }
      chunk.push(whole);
      size += whole.length;
    }
    if (size > 0) this.push(Buffer.concat(chunk));
    this.done(m);
  }
}
