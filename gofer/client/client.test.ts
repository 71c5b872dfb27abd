import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EIO, ENFILE } from '../../sentry/abi/errno.ts';
import type { GoferClient } from '../../sentry/gofer-api/gofer-api.ts';
import { HostBuffer } from '../../sentry/host/memory.ffi.ts';
import { ATTR_SIZE, HDR_SIZE, MESSAGE_MAX } from '../protocol/layout.ts';
import type { Channel } from './channel.ts';
import { RemoteGofer } from './client.ts';

/** Answers everything with the same bytes. */
class LyingChannel implements Channel {
  readonly request = new HostBuffer(MESSAGE_MAX);
  readonly reply = new HostBuffer(MESSAGE_MAX);
  readonly pollFd = -1;
  donatedFd = -1;
  body: Uint8Array = new Uint8Array();
  status = 0;
  badHeader = false;
  dead = false;

  roundTrip(): number {
    if (this.dead) return -1;
    const length = HDR_SIZE + this.body.length;
    this.reply.bytes.set(this.body, HDR_SIZE);
    this.reply.view.setUint32(0, this.badHeader ? length + 1 : length, true);
    this.reply.view.setUint32(4, 0, true);
    this.reply.view.setUint32(8, this.request.view.getUint32(8, true), true);
    this.reply.view.setInt32(12, this.status, true);
    return length;
  }

  isBroken(): boolean {
    return this.dead;
  }

  close(): void {}
}

const calls: ((g: GoferClient) => unknown)[] = [
  (g) => g.attach(0),
  (g) => g.walk(1, ['a', 'b'], []),
  (g) => g.getattr(1),
  (g) => g.open(1, 0),
  (g) => g.readlink(1),
  (g) => g.readdir(1, true),
  (g) => g.readdir(1, false),
  (g) => g.readdirName(1, 'x', true),
  (g) => g.create(1, 'x', { mode: 0, uid: 0, gid: 0 }, 0),
  (g) => g.unlink(1, 'x', false),
  (g) => g.statfs(1),
  (g) => g.getxattr(1, 'user.x'),
  (g) => g.listxattr(1),
  (g) => g.watch(1, 'x', true),
  (g) => g.readlinkName(1, 'x'),
  (g) => g.mkdir(1, 'x', { mode: 0, uid: 0, gid: 0 }, true),
  (g) => g.openEvents(false),
];

test('random replies give a value or an error, never an exception', () => {
  fc.assert(
    fc.property(
      fc.nat(calls.length - 1),
      fc.uint8Array({ maxLength: 600 }),
      fc.constantFrom(0, 0, 0, 0, -2, 5, -5000),
      fc.boolean(),
      (which, body, status, zeroes) => {
        const channel = new LyingChannel();
        const lost: string[] = [];
        const gofer = new RemoteGofer(channel, (why) => lost.push(why));
        channel.body = body;
        channel.status = status;
        if (zeroes) body.fill(0, 4, 400);
        const r = calls[which](gofer);
        expect(r).not.toBeUndefined();
        expect(gofer.alive).toBe(lost.length === 0);
        if (!gofer.alive) expect(r).toBe(-EIO);
      },
    ),
    { numRuns: 5000 },
  );
});

test('a descriptor for which there was no room is an error of that call alone', () => {
  const channel = new LyingChannel();
  const gofer = new RemoteGofer(channel, () => {});
  channel.donatedFd = -ENFILE;
  expect(gofer.connect(1, 1)).toBe(-ENFILE);
  channel.donatedFd = -ENFILE;
  channel.body = new Uint8Array(ATTR_SIZE);
  expect(gofer.open(1, 0)).toBe(-ENFILE);
  expect(gofer.alive).toBe(true);
});

test('a gofer that is gone is reported once, and every call is EIO', () => {
  const channel = new LyingChannel();
  const lost: string[] = [];
  const gofer = new RemoteGofer(channel, (why) => lost.push(why));
  channel.dead = true;
  expect(gofer.checkAlive()).toBe(false);
  for (const call of calls) expect(call(gofer)).toBe(-EIO);
  expect(lost).toEqual(['the file server closed the connection']);
});
