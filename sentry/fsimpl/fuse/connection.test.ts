import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ECONNABORTED, EINVAL, EIO, ENOENT, ENOSYS, ENOTCONN } from '../../abi/errno.ts';
import { Credentials, UserNamespace } from '../../auth/credentials.ts';
import { setAsker, UNANSWERED, type Asker } from '../../vfs/served-call.ts';
import { Connection } from './connection.ts';
import * as P from './protocol.ts';
import type { Request } from './request.ts';

const asker: Asker & { wakes: number } = {
  served: null,
  wakes: 0,
  creds: new Credentials(new UserNamespace(null, 0)),
  tid: 7,
  answered() {
    this.wakes++;
  },
};

function reply(unique: number, error: number, payload = Buffer.alloc(0)): Buffer {
  const b = Buffer.alloc(P.OUT_HEADER + payload.length);
  b.writeUInt32LE(b.length, 0);
  b.writeInt32LE(error, 4);
  b.writeUInt32LE(unique, 8);
  payload.copy(b, P.OUT_HEADER);
  return b;
}

/** A connection whose server has answered INIT. */
function served(): Connection {
  const c = new Connection(new UserNamespace(null, 0));
  c.attach();
  const init = c.next()!;
  expect(init.operation).toBe(P.INIT);
  const out = Buffer.alloc(64);
  out.writeUInt32LE(7, 0);
  out.writeUInt32LE(31, 4);
  out.writeUInt32LE(131072, 20);
  expect(c.receive(reply(init.unique, 0, out))).toBe(80);
  return c;
}

const lookup = (c: Connection, name: string): Request | number =>
  c.ask(P.LOOKUP, P.ROOT_NODE, new P.Body().name(name).done);

/** One run of a handler; the call goes on until `end`. */
function run<T>(handler: () => T): T {
  setAsker(asker);
  asker.served?.begin();
  const r = handler();
  setAsker(null);
  return r;
}

beforeEach(() => {
  asker.wakes = 0;
  asker.served = null;
});
afterEach(() => setAsker(null));

test('a question is asked once, and its answer found by the next run', () => {
  const c = served();
  expect(run(() => lookup(c, 'a'))).toBe(UNANSWERED);
  expect(run(() => lookup(c, 'a'))).toBe(UNANSWERED);
  const asked = c.next()!;
  expect(c.next()).toBeNull();
  expect(c.receive(reply(asked.unique, -ENOENT))).toBe(16);
  expect(asker.wakes).toBe(1);
  expect(run(() => [lookup(c, 'a'), lookup(c, 'b')])).toEqual([-ENOENT, UNANSWERED]);
});

test('an answer is given once in a run', () => {
  const c = served();
  const open = (): Request | number => c.ask(P.OPEN, P.ROOT_NODE, new P.Body().u32(0, 0).done);
  run(open);
  c.receive(reply(c.next()!.unique, 0, Buffer.alloc(P.OPEN_OUT)));
  const answers = run(() => [open(), open()]);
  expect(typeof answers[0]).toBe('object');
  expect(answers[1]).toBe(UNANSWERED);
});

test('a file that was opened for nobody is released when the call is over', () => {
  const c = served();
  run(() => c.ask(P.OPEN, P.ROOT_NODE, new P.Body().u32(0, 0).done));
  c.receive(reply(c.next()!.unique, 0, Buffer.alloc(P.OPEN_OUT)));
  asker.served!.end();
  expect(c.next()!.operation).toBe(P.RELEASE);
});

test('what was not read yet is taken back with its asker, what was read is interrupted', () => {
  const c = served();
  run(() => lookup(c, 'a'));
  asker.served!.end();
  expect(c.next()).toBeNull();
  asker.served = null;
  run(() => lookup(c, 'b'));
  const asked = c.next()!;
  asker.served!.waiting!.interrupt();
  const interrupt = c.next()!;
  expect([interrupt.operation, P.readU64(interrupt.body, 0)]).toEqual([P.INTERRUPT, asked.unique]);
  expect(asker.wakes).toBe(0);
  asker.served!.end();
  expect(asked.body.length).toBe(0);
});

test('an answer that was made use of is kept no longer', () => {
  const c = served();
  const read = (): Request | number => c.ask(P.READ, P.ROOT_NODE, Buffer.alloc(40));
  run(read);
  c.receive(reply(c.next()!.unique, 0, Buffer.from('data')));
  run(() => c.consume(read() as Request));
  expect(run(read)).toBe(UNANSWERED);
});

test('a server that goes away, and one that lacks an operation', () => {
  const c = served();
  run(() => lookup(c, 'a'));
  c.receive(reply(c.next()!.unique, -ENOSYS));
  expect(run(() => lookup(c, 'a'))).toBe(-ENOSYS);
  expect(c.lacks(P.LOOKUP)).toBe(true);
  run(() => lookup(c, 'b'));
  c.detach();
  expect(run(() => lookup(c, 'b'))).toBe(-ECONNABORTED);
  expect(run(() => lookup(c, 'c'))).toBe(-ENOTCONN);
});

test('answers of the wrong length cost the server an error and the asker EIO', () => {
  const c = served();
  run(() => lookup(c, 'a'));
  expect(c.receive(reply(c.next()!.unique, 0, Buffer.alloc(5)))).toBe(-EINVAL);
  expect(run(() => lookup(c, 'a'))).toBe(-EIO);
});

test('whatever a server writes, nothing breaks', () => {
  const c = served();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.integer({ min: 0, max: 12 }), (bytes, unique) => {
      const message = Buffer.from(bytes);
      expect(c.receive(message)).toBeLessThanOrEqual(message.length);
      c.receive(reply(unique, 0, message));
      c.receive(reply(0, unique, message));
      P.readEntries(message);
      if (message.length >= 88) P.readAttributes(message, 0);
    }),
  );
});
