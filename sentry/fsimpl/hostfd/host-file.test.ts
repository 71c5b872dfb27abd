import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { EAGAIN } from '../../abi/errno.ts';
import { HostBuffer } from '../../host/memory.ffi.ts';
import { hostPoller } from '../../host/poller.ffi.ts';
import { fcntl, hostSyscall } from '../../host/sys.ffi.ts';
import { ioBuffer } from '../../usermem/io-buffer.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { EPOLLIN, EPOLLOUT, WaitEntry } from '../../waiter/wait-queue.ts';
import { openHostFd, type HostFile } from './host-file.ts';

const none = null as unknown as CallContext;

function hostPair(nr: number, a: number, b: number): [HostFile, HostFile] {
  const fds = new HostBuffer(8);
  const r = nr === 53 ? hostSyscall(53, a, b, 0, fds.addr, 0, 0) : hostSyscall(nr, fds.addr, 0, 0, 0, 0, 0);
  expect(r).toBe(0);
  return [openHostFd(fds.i32[0]!) as HostFile, openHostFd(fds.i32[1]!) as HostFile];
}

test.each([
  ['pipe', 293, 0, 0],
  ['socketpair', 53, 1, 1],
])('%s: reads without waiting, wakes waiters, leaves the flags alone', (_name, nr, a, b) => {
  const [r, w] = hostPair(nr, a, b);
  expect(r.read(none, ioBuffer.bytes, 0, 10, -1)).toBe(-EAGAIN);
  const woken: number[] = [];
  const entry = new WaitEntry((events) => woken.push(events));
  r.waiters.add(entry, EPOLLIN);
  hostPoller().run();
  expect(r.poll() & EPOLLIN).toBe(0);
  expect(w.poll() & EPOLLOUT).toBe(EPOLLOUT);
  const data = Buffer.from('hello');
  expect(w.write(none, data, 0, 5, -1)).toBe(5);
  hostPoller().run();
  expect(woken.some((e) => (e & EPOLLIN) !== 0)).toBe(true);
  expect(r.read(none, ioBuffer.bytes, 0, 10, -1)).toBe(5);
  expect(ioBuffer.bytes.toString('latin1', 0, 5)).toBe('hello');
  expect(fcntl(r.hostFd, 3, 0) & 0o4000).toBe(0);
  w.unref();
  expect(r.read(none, ioBuffer.bytes, 0, 10, -1)).toBe(0);
  entry.remove();
  r.unref();
});

test('a regular file keeps its position in the host', () => {
  const dir = mkdtempSync(join(tmpdir(), 'hostfd-'));
  const f = openHostFd(openSync(join(dir, 'f'), 'w+')) as HostFile;
  expect(f.write(none, Buffer.from('abcdef'), 0, 6, -1)).toBe(6);
  expect(f.seek(none, 2, 0)).toBe(2);
  expect(f.read(none, ioBuffer.bytes, 0, 2, -1)).toBe(2);
  expect(ioBuffer.bytes.toString('latin1', 0, 2)).toBe('cd');
  expect(f.write(none, Buffer.from('X'), 0, 1, 0)).toBe(1);
  expect(readFileSync(join(dir, 'f'), 'utf8')).toBe('Xbcdef');
  expect(f.inode.refresh()).toBe(0);
  expect(f.inode.size).toBe(6);
  f.unref();
  rmSync(dir, { recursive: true });
});
