import { expect, test } from 'vitest';
import { EINVAL, ENOENT } from '../../abi/errno.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { Dentry, type Path } from '../../vfs/dentry.ts';
import type { FileDescription } from '../../vfs/file-description.ts';
import { Mount } from '../../vfs/mount.ts';
import { StaticDir } from './dir.ts';
import { KernfsFile, setHeldContentLimit } from './file.ts';
import { KernfsSuperBlock } from './super-block.ts';

class TestSb extends KernfsSuperBlock {
  readonly fsType = 'test';
  readonly magic = 1;
  readonly root: StaticDir = new StaticDir(this, 0o555);
}

const t = {} as CallContext;

function open(sb: TestSb, name: string): FileDescription {
  const node = name === '' ? sb.root : (sb.root.lookup(name, null) as KernfsFile);
  const root = new Dentry('/', null, sb.root);
  const path: Path = { mount: new Mount(sb, root, 0, 'none'), dentry: new Dentry(name, root, node) };
  return node.open(t, path, 2) as FileDescription;
}

test('a reader of several pieces sees one state; position 0 makes it anew', () => {
  const sb = new TestSb();
  let n = 0;
  sb.root.add('count', new KernfsFile(sb, 0o444, () => `value ${n++}\n`));
  const f = open(sb, 'count');
  const buf = Buffer.alloc(100);
  expect(f.read(t, buf, 0, 4, 0)).toBe(4);
  expect(f.read(t, buf, 4, 50, 4)).toBe(4);
  expect(buf.toString('latin1', 0, 8)).toBe('value 0\n');
  expect(f.read(t, buf, 0, 50, 8)).toBe(0);
  f.read(t, buf, 0, 50, 0);
  expect(buf.toString('latin1', 0, 8)).toBe('value 1\n');
});

test('contents of many open files stay within a bound', () => {
  setHeldContentLimit(250);
  const sb = new TestSb();
  let made = 0;
  const text = (): string => {
    made++;
    return 'x'.repeat(100);
  };
  sb.root.add('big', new KernfsFile(sb, 0o444, text));
  const files = [0, 1, 2, 3].map(() => open(sb, 'big'));
  const buf = Buffer.alloc(200);
  for (const f of files) expect(f.read(t, buf, 0, 50, 0)).toBe(50);
  expect(made).toBe(4);
  expect(files[3]!.read(t, buf, 0, 100, 50)).toBe(50);
  expect(made).toBe(4);
  expect(files[0]!.read(t, buf, 0, 100, 50)).toBe(50);
  expect(made).toBe(5);
  for (const f of files) f.unref();
  setHeldContentLimit(32 * 1024 * 1024);
});

test('a file in parts reads as one text, from any position', () => {
  const sb = new TestSb();
  const parts = (_t: CallContext, from: number): { text: string; next: number } => ({
    text: `part ${from}\n`,
    next: from < 4 ? from + 1 : -1,
  });
  sb.root.add('parts', new KernfsFile(sb, 0o444, () => '', { parts }));
  const whole = 'part 0\npart 1\npart 2\npart 3\npart 4\n';
  const f = open(sb, 'parts');
  const buf = Buffer.alloc(100);
  for (const step of [1, 3, 7, 10, 100]) {
    let text = '';
    for (let n = 1; n > 0;) {
      n = f.read(t, buf, 0, step, text.length);
      text += buf.toString('latin1', 0, n);
    }
    expect(text).toBe(whole);
  }
  expect(f.read(t, buf, 0, 5, 9)).toBe(5);
  expect(buf.toString('latin1', 0, 5)).toBe(whole.slice(9, 14));
  expect(f.read(t, buf, 0, 5, 1e15)).toBe(0);
});

test('writes go to the store function; files without one refuse', () => {
  const sb = new TestSb();
  let got = '';
  const store = (_t: CallContext, s: string): number => {
    got = s;
    return s.length;
  };
  sb.root.add('rw', new KernfsFile(sb, 0o644, () => got, { store }));
  sb.root.add('ro', new KernfsFile(sb, 0o444, () => ''));
  expect(open(sb, 'rw').write(t, Buffer.from('xhello'), 1, 5, 0)).toBe(5);
  expect(got).toBe('hello');
  expect(open(sb, 'ro').write(t, Buffer.from('x'), 0, 1, 0)).toBe(-EINVAL);
});

test('a directory continues where a full buffer stopped it', () => {
  const sb = new TestSb();
  for (const name of ['a', 'b', 'c']) sb.root.add(name, new KernfsFile(sb, 0o444, () => ''));
  expect(sb.root.lookup('__proto__', null)).toBe(-ENOENT);
  const d = open(sb, '');
  const seen: string[] = [];
  for (let i = 0; i < 6; i++) {
    let room = 1;
    d.getdents(t, (name) => room-- > 0 && seen.push(name) > 0);
  }
  expect(seen).toEqual(['.', '..', 'a', 'b', 'c']);
});
