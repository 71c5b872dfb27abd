import { expect, test } from 'vitest';
import { EAGAIN, ECONNREFUSED, EINPROGRESS, EINVAL, EPERM } from '../../abi/errno.ts';
import * as S from '../../abi/socket.ts';
import { Credentials, UserNamespace } from '../../auth/credentials.ts';
import { hostPoller } from '../../host/poller.ffi.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { EPOLLIN, WaitEntry } from '../../waiter/wait-queue.ts';
import { createSocket } from '../providers.ts';
import { registerSocketFamilies } from '../register.ts';
import { RecvInfo, SendInfo, type Socket } from '../socket.ts';
import { controlForHost } from './options.ts';

const t = { creds: new Credentials(new UserNamespace(null, 0)), tgid: 7, nowSec: 0, nowNsec: 0 } as unknown as CallContext; // prettier-ignore
registerSocketFamilies();
const make = (domain: number, type: number, protocol = 0): Socket =>
  createSocket(t, domain, type, protocol, 0) as Socket;
const loopback = (port: number): Buffer => Buffer.from([2, 0, port >> 8, port & 255, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]); // prettier-ignore
const portOf = (s: Socket): number => Buffer.from(s.getName(false) as Uint8Array).readUInt16BE(2);
const buf = Buffer.alloc(70000);

test('tcp: connect, accept, data, refusal', () => {
  const server = make(S.AF_INET, S.SOCK_STREAM);
  expect(server.bind(t, loopback(0))).toBe(0);
  expect(server.listen(t, 5)).toBe(0);
  expect(server.accept(t, 0)).toBe(-EAGAIN);
  const client = make(S.AF_INET, S.SOCK_STREAM);
  expect(client.connect(t, loopback(portOf(server)))).toBe(-EINPROGRESS);
  expect(client.finishConnect()).toBe(0);
  const conn = server.accept(t, 0) as Socket;
  expect(conn.recv(t, buf, 0, 10, 0, null)).toBe(-EAGAIN);
  let woken = 0;
  const entry = new WaitEntry(() => woken++);
  conn.waiters.add(entry, EPOLLIN);
  hostPoller().run();
  woken = 0;
  expect(client.send(t, Buffer.from('ping'), 0, 4, 0, null)).toBe(4);
  hostPoller().run();
  expect(woken).toBeGreaterThan(0);
  expect(conn.recv(t, buf, 0, 10, S.MSG_TRUNC, null)).toBe(4);
  expect(buf.toString('latin1', 0, 4)).toBe('ping');
  expect(conn.getOption(t, S.SOL_SOCKET, S.SO_TYPE, buf, 4)).toBe(4);
  client.unref();
  expect(conn.recv(t, buf, 0, 10, 0, null)).toBe(0);
  const port = portOf(server);
  conn.unref();
  server.unref();
  const late = make(S.AF_INET, S.SOCK_STREAM);
  const r = late.connect(t, loopback(port));
  expect(r === -EINPROGRESS ? late.finishConnect() : r).toBe(-ECONNREFUSED);
  late.unref();
});

test('udp: source address and full length of a cut datagram', () => {
  const a = make(S.AF_INET, S.SOCK_DGRAM);
  const b = make(S.AF_INET, S.SOCK_DGRAM);
  a.bind(t, loopback(0));
  b.bind(t, loopback(0));
  const to = new SendInfo();
  to.name = loopback(portOf(b));
  expect(a.send(t, Buffer.from('datagram'), 0, 8, 0, to)).toBe(8);
  const info = new RecvInfo();
  expect(b.recv(t, buf, 0, 4, S.MSG_TRUNC, info)).toBe(4);
  expect(info.fullLen).toBe(8);
  expect(Buffer.from(info.name!).readUInt16BE(2)).toBe(portOf(a));
  a.unref();
  b.unref();
});

test('raw sockets are refused, descriptors as control data stay here', () => {
  expect(createSocket(t, S.AF_INET, S.SOCK_RAW, 1, 0)).toBe(-EPERM);
  const rights = Buffer.alloc(24);
  rights.writeUInt32LE(20, 0);
  rights.writeInt32LE(1, 8);
  rights.writeInt32LE(1, 12);
  expect(controlForHost(rights)).toEqual(Buffer.alloc(0));
  const ttl = Buffer.alloc(20);
  ttl.writeUInt32LE(20, 0);
  ttl.writeInt32LE(2, 12);
  expect(controlForHost(Buffer.concat([rights, ttl]))).toEqual(Buffer.concat([ttl, Buffer.alloc(4)]));
  ttl.writeInt32LE(99, 12);
  expect(controlForHost(ttl)).toBe(-EINVAL);
});

test('route queries: links have a loopback, changes are refused', () => {
  const s = make(S.AF_NETLINK, S.SOCK_RAW);
  const request = (type: number, flags: number): void => {
    const m = Buffer.alloc(32);
    m.writeUInt32LE(32, 0);
    m.writeUInt16LE(type, 4);
    m.writeUInt16LE(flags, 6);
    m.writeUInt32LE(42, 8);
    expect(s.send(t, m, 0, 32, 0, null)).toBe(32);
  };
  request(18, 0x301);
  let all = '';
  let last = 0;
  for (let n = s.recv(t, buf, 0, 70000, 0, null); n > 0; n = s.recv(t, buf, 0, 70000, 0, null)) {
    expect(buf.readUInt32LE(8)).toBe(42);
    expect(buf.readUInt32LE(12)).toBe(7);
    all += buf.toString('latin1', 0, n);
    last = buf.readUInt16LE(4);
  }
  expect(all).toContain('lo\0');
  expect(last).toBe(3);
  request(16, 5);
  // The error, and the whole message that it is about.
  expect(s.recv(t, buf, 0, 100, 0, null)).toBe(16 + 4 + 32);
  expect(buf.readInt32LE(16)).toBe(-EPERM);
  s.unref();
});
