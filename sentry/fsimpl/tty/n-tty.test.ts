import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { EAGAIN } from '../../abi/errno.ts';
import * as T from '../../abi/termios.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import { DevptsSuperBlock } from '../devpts/devpts.ts';
import { PtyMaster } from '../devpts/pty-master.ts';
import type { Pty } from '../devpts/pty.ts';
import { Dentry } from '../../vfs/dentry.ts';
import { Mount } from '../../vfs/mount.ts';
import type { FileDescription } from '../../vfs/file-description.ts';

/** Recorded from Linux 6.x: what a program reads and what the terminal shows for each input. */
interface Case {
  name: string;
  iflag: number;
  oflag: number;
  lflag: number;
  input: string;
  reads: string[];
  echo: string;
}
const golden = JSON.parse(readFileSync(new URL('./n-tty.golden.json', import.meta.url), 'utf8')) as Case[];

const t = { creds: { fsuid: 0, fsgid: 5, has: () => true } } as unknown as CallContext;

function openPair(): { pty: Pty; master: PtyMaster; slave: FileDescription } {
  const sb = new DevptsSuperBlock();
  const pty = sb.create(t) as Pty;
  const root = new Dentry('/', null, sb.root);
  const path: Path = { mount: new Mount(sb, root, 0, 'devpts'), dentry: root };
  const master = new PtyMaster(pty, sb, path, sb.root, 2);
  pty.locked = false;
  const slave = pty.openFile(t, path, sb.root, 2) as FileDescription;
  return { pty, master, slave };
}

function drain(f: FileDescription, max = 10): string[] {
  const buf = Buffer.alloc(10_000);
  const all: string[] = [];
  for (let i = 0; i <= max; i++) {
    const n = f.read(t, buf, 0, buf.length, -1);
    if (n < 0) break;
    all.push(buf.toString('latin1', 0, n));
  }
  return all;
}

describe('the line discipline does what Linux does', () => {
  for (const c of golden) {
    test(c.name, () => {
      const { pty, master, slave } = openPair();
      pty.termios.iflag = c.iflag;
      pty.termios.oflag = c.oflag;
      pty.termios.lflag = c.lflag;
      if ((c.lflag & T.ICANON) === 0) pty.termios.cc[T.VMIN] = 1;
      const input = Buffer.from(c.input, 'latin1');
      for (let off = 0; off < input.length;) {
        const n = master.write(t, input, off, Math.min(64, input.length - off));
        if (n < 0) break;
        off += n;
      }
      expect(drain(slave)).toEqual(c.reads);
      expect(drain(master, 1000).join('')).toBe(c.echo);
    });
  }
});

test('what was typed in canonical mode is readable after the switch to raw mode', () => {
  const { pty, master, slave } = openPair();
  master.write(t, Buffer.from('abc'), 0, 3);
  expect(drain(slave)).toEqual([]);
  const old = pty.termios.lflag;
  pty.termios.lflag &= ~T.ICANON;
  pty.termios.cc[T.VMIN] = 1;
  pty.ldisc.modesChanged(old, pty.termios.iflag);
  expect(drain(slave)).toEqual(['abc']);
});

test('a full screen blocks the writer until the master reads', () => {
  const { master, slave } = openPair();
  const block = Buffer.alloc(4096, 'x');
  let total = 0;
  for (;;) {
    const n = slave.write(t, block, 0, block.length, -1);
    if (n === -EAGAIN) break;
    total += n;
  }
  expect(total).toBeGreaterThan(8000);
  expect(drain(master, 100).join('').length).toBe(total);
  expect(slave.write(t, block, 0, 10, -1)).toBe(10);
});

test('packet mode reports flow control and flushes before data', () => {
  const { pty, master, slave } = openPair();
  pty.packet = true;
  slave.write(t, Buffer.from('hi'), 0, 2, -1);
  master.write(t, Buffer.from('\x13'), 0, 1);
  const buf = Buffer.alloc(16);
  expect(master.read(t, buf, 0, 16)).toBe(1);
  expect(buf[0]).toBe(T.TIOCPKT_STOP);
  expect(master.read(t, buf, 0, 16)).toBe(3);
  expect(buf.toString('latin1', 0, 3)).toBe('\0hi');
});

test('an interrupt takes back what the same input has echoed', () => {
  const { master } = openPair();
  master.write(t, Buffer.from('ab'), 0, 2);
  master.write(t, Buffer.from('cd\x11ef\x03'), 0, 6);
  expect(drain(master).join('')).toBe('ab^C');
});
