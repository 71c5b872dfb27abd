import { beforeEach, expect, test } from 'vitest';
import { EADDRINUSE, EAGAIN, ECONNREFUSED, ECONNRESET, EPIPE } from '../../abi/errno.ts';
import { AF_UNIX, MSG_PEEK, MSG_TRUNC, SHUT_WR, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM, SO_ERROR, SOL_SOCKET } from '../../abi/socket.ts'; // prettier-ignore
import { Credentials, UserNamespace } from '../../auth/credentials.ts';
import { EventFile } from '../../fsimpl/eventfd/eventfd.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP } from '../../waiter/wait-queue.ts';
import { RecvInfo, SendInfo } from '../socket.ts';
import { inFlightOf, inFlightTotal } from './in-flight.ts';
import { UnixSocket } from './unix-socket.ts';

const t = {
  creds: new Credentials(new UserNamespace(null, 0)),
  tgid: 7,
  nowSec: 0,
  nowNsec: 0,
} as unknown as CallContext;
const buf = Buffer.alloc(300000);
const text = (s: UnixSocket, len = 100): string | number => {
  const n = s.recv(t, buf, 0, len, 0, null);
  return n < 0 ? n : buf.toString('latin1', 0, n);
};
const put = (s: UnixSocket, data: string): number => s.send(t, Buffer.from(data), 0, data.length, 0, null);
const abstract = (name: string): Uint8Array => Buffer.from(`\x01\0\0${name}`, 'latin1');

beforeEach(() => {
  expect(inFlightTotal()).toBe(0);
});

test('streams join messages, end at shutdown and reset with unread data', () => {
  const [a, b] = UnixSocket.pair(t, SOCK_STREAM, 0);
  expect(text(b)).toBe(-EAGAIN);
  put(a, 'one');
  put(a, 'two');
  expect(text(b, 4)).toBe('onet');
  expect(a.shutdown(SHUT_WR)).toBe(0);
  expect(put(a, 'x')).toBe(-EPIPE);
  expect(b.poll() & (EPOLLIN | EPOLLRDHUP | EPOLLHUP)).toBe(EPOLLIN | EPOLLRDHUP);
  expect(text(b)).toBe('wo');
  expect(text(b)).toBe('');
  put(b, 'unread');
  a.unref();
  expect(b.poll() & EPOLLHUP).toBe(EPOLLHUP);
  const err = Buffer.alloc(4);
  expect(b.getOption(t, SOL_SOCKET, SO_ERROR, err, 4)).toBe(4);
  expect(err.readInt32LE(0)).toBe(ECONNRESET);
  b.unref();
});

test('a full stream takes no more until it is read', () => {
  const [a, b] = UnixSocket.pair(t, SOCK_STREAM, 0);
  let sent = 0;
  for (;;) {
    const n = a.send(t, buf, 0, 65536, 0, null);
    if (n === -EAGAIN) break;
    sent += n;
  }
  expect(sent).toBeGreaterThan(100000);
  expect(a.poll() & EPOLLOUT).toBe(0);
  let got = 0;
  for (let n = 1; n > 0; got += Math.max(0, n)) n = b.recv(t, buf, 0, 65536, 0, null);
  expect(got).toBe(sent);
  expect(a.poll() & EPOLLOUT).toBe(EPOLLOUT);
  a.unref();
  b.unref();
});

test.each([SOCK_DGRAM, SOCK_SEQPACKET])('type %i keeps message boundaries', (type) => {
  const [a, b] = UnixSocket.pair(t, type, 0);
  put(a, 'hello');
  put(a, 'world');
  const info = new RecvInfo();
  expect(b.recv(t, buf, 0, 3, MSG_PEEK, info)).toBe(3);
  expect(b.recv(t, buf, 0, 3, 0, info)).toBe(3);
  expect(info.msgFlags & MSG_TRUNC).toBe(MSG_TRUNC);
  expect(info.fullLen).toBe(5);
  expect(text(b)).toBe('world');
  a.unref();
  b.unref();
});

test('abstract names: bind, listen, connect, accept, refusal', () => {
  const server = new UnixSocket(t, SOCK_STREAM, 0);
  const client = new UnixSocket(t, SOCK_STREAM, 0);
  expect(client.connect(t, abstract('srv'))).toBe(-ECONNREFUSED);
  expect(server.bind(t, abstract('srv'))).toBe(0);
  expect(new UnixSocket(t, SOCK_STREAM, 0).bind(t, abstract('srv'))).toBe(-EADDRINUSE);
  expect(client.connect(t, abstract('srv'))).toBe(-ECONNREFUSED);
  expect(server.listen(t, 0)).toBe(0);
  expect(server.accept(t, 0)).toBe(-EAGAIN);
  expect(client.connect(t, abstract('srv'))).toBe(0);
  const second = new UnixSocket(t, SOCK_STREAM, 0);
  expect(second.connect(t, abstract('srv'))).toBe(-EAGAIN);
  expect(second.connectQueue()).toBe(server);
  put(client, 'early');
  const conn = server.accept(t, 0) as UnixSocket;
  expect(text(conn)).toBe('early');
  expect(Buffer.from(conn.getName(false) as Uint8Array).toString('latin1')).toBe('\x01\0\0srv');
  expect((conn.getName(true) as Uint8Array).length).toBe(2);
  server.unref();
  const err = Buffer.alloc(4);
  client.getOption(t, SOL_SOCKET, SO_ERROR, err, 4);
  expect(err.readInt32LE(0)).toBe(0);
  conn.unref();
  client.unref();
  expect(second.connect(t, abstract('srv'))).toBe(-ECONNREFUSED);
  expect(AF_UNIX).toBe(1);
});

test('descriptors travel with the first byte and stop the read', () => {
  const [a, b] = UnixSocket.pair(t, SOCK_STREAM, 0);
  const f = new EventFile(0, false, 0);
  const info = new SendInfo();
  info.fds = [f.ref()];
  put(a, 'ab');
  a.send(t, Buffer.from('cd'), 0, 2, 0, info);
  put(a, 'ef');
  expect(info.fds).toBe(null);
  const got = new RecvInfo();
  expect(b.recv(t, buf, 0, 100, 0, got)).toBe(4);
  expect(got.fds).toEqual([f]);
  f.unref();
  f.unref();
  expect(text(b)).toBe('ef');
  a.unref();
  b.unref();
});

test('cycles of sockets in flight are freed', () => {
  const [a, b] = UnixSocket.pair(t, SOCK_STREAM, 0);
  // Each end holds the other's only reference in its queue.
  pass(a, a);
  pass(b, b);
  const bystander = new UnixSocket(t, SOCK_STREAM, 0);
  a.unref();
  new UnixSocket(t, SOCK_STREAM, 0).unref();
  expect(inFlightTotal()).toBe(2);
  b.unref();
  bystander.unref();
  expect(inFlightTotal()).toBe(0);
});

function pass(over: UnixSocket, what: UnixSocket): void {
  const info = new SendInfo();
  info.fds = [what.ref()];
  over.send(t, Buffer.from('x'), 0, 1, 0, info);
}

test('a long chain of sockets in each other’s queues is freed', () => {
  let inner = new UnixSocket(t, SOCK_STREAM, 0);
  for (let i = 0; i < 5000; i++) {
    const [a, b] = UnixSocket.pair(t, SOCK_STREAM, 0);
    pass(a, inner);
    inner.unref();
    a.unref();
    inner = b;
  }
  expect(inFlightTotal()).toBe(5000);
  expect(inFlightOf(t.creds.uid)).toBe(5000);
  inner.unref();
  expect(inFlightTotal()).toBe(0);
});

test('many descriptors in one queue are freed with the cycle', () => {
  const [a, b] = UnixSocket.pair(t, SOCK_SEQPACKET, 0);
  a.options.sndbuf = 1e9;
  for (let i = 0; i < 100; i++) {
    const info = new SendInfo();
    info.fds = Array.from({ length: 253 }, () => b.ref());
    a.send(t, Buffer.from('x'), 0, 1, 0, info);
  }
  pass(a, a);
  a.unref();
  b.unref();
  new UnixSocket(t, SOCK_STREAM, 0).unref();
  for (let i = 0; inFlightTotal() > 0 && i < 1e6; i++) new UnixSocket(t, SOCK_STREAM, 0).unref();
  expect(inFlightTotal()).toBe(0);
});
