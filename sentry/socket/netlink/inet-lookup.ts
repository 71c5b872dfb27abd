/** sock_diag(7) about one internet socket: net/ipv4/inet_diag.c inet_diag_find_one_icsk, net/ipv4/udp_diag.c udp_dump_one, net/ipv4/raw_diag.c raw_sock_get. */
import { AF_INET, AF_INET6, SOCK_RAW, SOCK_STREAM } from '../../abi/socket.ts';
import type { NetNamespace } from '../../kernel/namespaces.ts';
import { isListening, isV6Only, openSockets, type OpenSocket } from '../socket-list.ts';

// struct inet_diag_req_v2: the protocol of raw sockets; ports and addresses of struct inet_diag_sockid.
const RAW_PROTOCOL = 3;
const SOURCE_PORT = 8;
const DESTINATION_PORT = 10;
const SOURCE = 12;
const DESTINATION = 28;
const MAPPED = '00000000000000000000ffff';
const ANY6 = '0'.repeat(32);
const ANY4 = `${MAPPED}00000000`;

interface End {
  readonly port: number;
  /** 32 digits; of IPv4 as IPv6 maps it. */
  readonly address: string;
}

/** A sockaddr; null: there is none. */
function endOf(name: Uint8Array | number): End | null {
  if (typeof name === 'number' || name.length < 8) return null;
  const b = Buffer.from(name);
  const v6 = b[0] === AF_INET6 && b.length >= 24;
  const address = v6 ? b.toString('hex', 8, 24) : MAPPED + b.toString('hex', 4, 8);
  return { port: b.readUInt16BE(2), address };
}

function endIn(req: Buffer, port: number, address: number): End {
  const v4 = req[0] === AF_INET;
  const text = v4
    ? MAPPED + req.toString('hex', address, address + 4)
    : req.toString('hex', address, address + 16);
  return { port: req.readUInt16BE(port), address: text };
}

/** 0: it is not the one; else the more, the better. */
function score(f: OpenSocket, local: End, remote: End, stream: boolean, ports: boolean): number {
  const own = endOf(f.socket.getName(false));
  if (own === null || (ports && (own.port === 0 || own.port !== local.port))) return 0;
  const v4 = local.address.startsWith(MAPPED);
  if (!v4 && f.socket.domain !== AF_INET6) return 0;
  const any = own.address === ANY4 || own.address === ANY6;
  if (any && v4 && isV6Only(f)) return 0;
  if (!any && own.address !== local.address) return 0;
  const other = endOf(f.socket.getName(true));
  if (other === null) return stream && !isListening(f) ? 0 : any ? 1 : 2;
  return other.address === remote.address && (!ports || other.port === remote.port) ? 3 : 0;
}

/** The socket of that type and protocol that a struct inet_diag_req_v2 names. */
export function inetLookup(
  ns: NetNamespace | null,
  req: Buffer,
  type: number,
  protocol: number,
): OpenSocket | null {
  const source = endIn(req, SOURCE_PORT, SOURCE);
  const destination = endIn(req, DESTINATION_PORT, DESTINATION);
  const stream = type === SOCK_STREAM;
  const raw = type === SOCK_RAW;
  // "src and dst are swapped for historical reasons"
  const [local, remote] = stream || raw ? [source, destination] : [destination, source];
  const wanted = raw ? req[RAW_PROTOCOL]! : protocol;
  let best: OpenSocket | null = null;
  let most = 0;
  for (const domain of [AF_INET, AF_INET6]) {
    for (const f of openSockets(ns, domain, type)) {
      if (f.socket.protocol !== wanted) continue;
      const n = score(f, local, remote, stream, !raw);
      if (n > most) {
        most = n;
        best = f;
      }
    }
  }
  return best;
}
