// Property test: a FdTable behaves as a map of numbers, and every open file is released exactly when nobody has it.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EBADF, EMFILE } from '../abi/errno.ts';
import { O_PATH } from '../abi/fcntl.ts';
import type { CallContext } from '../vfs/call-context.ts';
import { FileDescription } from '../vfs/file-description.ts';
import type { Inode } from '../vfs/inode.ts';
import { FdTable } from './fd-table.ts';

const LIMIT = 12;
const inode = { hold() {}, drop() {}, locks: null, identity: { locks: null } } as unknown as Inode;
const t = {} as CallContext;
let alive = 0;

class TestFile extends FileDescription {
  constructor(flags: number) {
    super(null, inode, flags);
    alive++;
  }

  protected override release(): void {
    alive--;
  }
}

interface Entry {
  file: TestFile;
  cloexec: boolean;
}
type Model = Map<number, Entry>;

const op = fc.record({
  kind: fc.constantFrom('install', 'dup2', 'close', 'cloexec', 'exec', 'fork', 'leave', 'detach'),
  /** Which of the tables that exist. */
  table: fc.nat(3),
  fd: fc.nat(LIMIT + 1),
  other: fc.nat(LIMIT - 1),
  flag: fc.boolean(),
});
type Op = typeof op extends fc.Arbitrary<infer T> ? T : never;

function lowestFree(m: Model, min: number): number {
  let fd = min;
  while (m.has(fd)) fd++;
  return fd;
}

function apply(tables: FdTable[], models: Model[], o: Op): void {
  const i = o.table % tables.length;
  const table = tables[i]!;
  const m = models[i]!;
  switch (o.kind) {
    case 'install': {
      const file = new TestFile(o.flag ? O_PATH : 0);
      const want = lowestFree(m, o.fd);
      const fd = table.install(file, o.flag, LIMIT, o.fd);
      expect(fd).toBe(want >= LIMIT ? -EMFILE : want);
      if (fd < 0) file.unref();
      else m.set(fd, { file, cloexec: o.flag });
      break;
    }
    case 'dup2': {
      const from = m.get(o.fd);
      if (from === undefined || o.fd === o.other) break;
      table.replace(t, o.other, from.file.ref(), o.flag);
      m.set(o.other, { file: from.file, cloexec: o.flag });
      break;
    }
    case 'close':
      expect(table.close(t, o.fd)).toBe(m.delete(o.fd) ? 0 : -EBADF);
      break;
    case 'detach': {
      const file = table.detach(o.fd);
      expect(file).toBe(m.get(o.fd)?.file ?? null);
      m.delete(o.fd);
      file?.unref();
      break;
    }
    case 'cloexec':
      if (m.has(o.fd)) {
        table.setCloexec(o.fd, o.flag);
        m.get(o.fd)!.cloexec = o.flag;
      }
      break;
    case 'exec':
      table.closeOnExec(t);
      for (const [fd, e] of [...m]) if (e.cloexec) m.delete(fd);
      break;
    case 'fork':
      if (tables.length < 4) {
        tables.push(table.clone());
        models.push(new Map([...m].map(([fd, e]) => [fd, { ...e }])));
      }
      break;
    case 'leave':
      if (tables.length > 1) {
        tables.splice(i, 1)[0]!.unref(t);
        models.splice(i, 1);
      }
  }
}

test('equals a map after any sequence of changes, and nothing stays open', () => {
  fc.assert(
    fc.property(fc.array(op, { maxLength: 60 }), (ops) => {
      alive = 0;
      const tables = [new FdTable()];
      const models: Model[] = [new Map()];
      for (const o of ops) {
        apply(tables, models, o);
        tables.forEach((table, i) => {
          const m = models[i]!;
          expect(table.fds()).toEqual([...m.keys()].sort((a, b) => a - b));
          const fds = Array.from({ length: LIMIT + 2 }, (_, k) => k - 1);
          const io = (e: Entry | undefined) =>
            e === undefined || (e.file.flags & O_PATH) !== 0 ? null : e.file;
          expect(fds.every((fd) => table.getRaw(fd) === (m.get(fd)?.file ?? null))).toBe(true);
          expect(fds.every((fd) => table.get(fd) === io(m.get(fd)))).toBe(true);
          expect(fds.every((fd) => table.isCloexec(fd) === (m.get(fd)?.cloexec ?? false))).toBe(true);
          expect(table.hasRoom(LIMIT)).toBe(lowestFree(m, 0) < LIMIT);
        });
        expect(alive).toBe(new Set(models.flatMap((m) => [...m.values()].map((e) => e.file))).size);
      }
      for (const table of tables) table.unref(t);
      expect(alive).toBe(0);
    }),
    { numRuns: 100 },
  );
});
