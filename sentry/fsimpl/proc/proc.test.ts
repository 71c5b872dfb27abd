// The formats of /proc are compared with the host's: what both have must come in the same order and shape.
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { EACCES, EINVAL, ENOENT, EPERM } from '../../abi/errno.ts';
import { CapSet } from '../../auth/capability.ts';
import { Credentials, UserNamespace } from '../../auth/credentials.ts';
import { FdTable } from '../../kernel/fd-table.ts';
import { Kernel } from '../../kernel/kernel.ts';
import { createInit } from '../../kernel/process-init.ts';
import { CgroupNamespace, IpcNamespace, NetNamespace, UtsNamespace } from '../../kernel/namespaces.ts';
import { TimeNamespace } from '../../kernel/time-namespace.ts';
import type { Pid } from '../../kernel/pid-namespace.ts';
import type { Task } from '../../kernel/task.ts';
import { MemoryManager } from '../../mm/memory-manager.ts';
import { FakeAccount } from '../../platform/fake.ts';
import type { AddressSpace, Context, Platform } from '../../platform/platform.ts';
import { FsContext } from '../../vfs/call-context.ts';
import { Dentry } from '../../vfs/dentry.ts';
import type { FileDescription } from '../../vfs/file-description.ts';
import type { Inode } from '../../vfs/inode.ts';
import { makeMount, MountNamespace, rootDentry } from '../../vfs/mount-namespace.ts';
import { PidDir } from './pid-dir.ts';
import { ProcSuperBlock } from './super-block.ts';

const cpuInfo = readFileSync('/proc/cpuinfo', 'latin1');
const platform = { minAddr: 65536, namesChanged: () => {} } as unknown as Platform;
const kernel = new Kernel(platform, []);
kernel.memTotal = 512 * 1024 * 1024;
const proc = new ProcSuperBlock(
  { kernel, host: { cpuInfo, cpus: [0], memTotal: 512 * 1024 * 1024 } },
  kernel.pidNs,
);
let t: Task;

beforeAll(() => {
  const space = { read: () => -1, write: () => -1, dead: false } as unknown as AddressSpace;
  const ctx = { args: new Uint32Array(12), space, account: new FakeAccount() } as unknown as Context;
  const creds = new Credentials(new UserNamespace(null, 0));
  creds.permitted = creds.effective = CapSet.FULL;
  const mount = makeMount(proc, 0, 'proc');
  const mnt = new MountNamespace(mount);
  const root = { mount, dentry: rootDentry(proc) };
  const time = new TimeNamespace();
  const task = createInit(kernel, {
    ctx,
    mm: new MemoryManager(space, 65536, 2 ** 47, 2 ** 46),
    fs: new FsContext(root, root, 0o22),
    fdTable: new FdTable(),
    creds,
    ns: {
      uts: new UtsNamespace('box'),
      ipc: new IpcNamespace(),
      net: new NetNamespace(),
      mnt: mnt as never,
      time,
      timeForChildren: time,
      cgroup: new CgroupNamespace(),
      pidForChildren: kernel.pidNs,
    },
  });
  t = task as Task;
  t.comm = 'a (b) c';
});

function find(path: string): Inode {
  let node: Inode = proc.root;
  for (const name of path.split('/')) node = node.lookup(name, t) as Inode;
  return node;
}

function open(path: string, flags = 2): FileDescription {
  const node = find(path);
  const name = path.slice(path.lastIndexOf('/') + 1);
  const place = { mount: t.fs.root.mount, dentry: new Dentry(name, rootDentry(proc), node) };
  return node.open(t, place, flags) as FileDescription;
}

function cat(path: string): string {
  const f = open(path, 0);
  const buf = Buffer.alloc(1 << 20);
  const n = f.read(t, buf, 0, buf.length, 0);
  f.unref();
  expect(n).toBeGreaterThanOrEqual(0);
  return buf.toString('latin1', 0, n);
}

function write(path: string, text: string): number {
  return open(path).write(t, Buffer.from(text), 0, text.length, 0);
}

function names(path: string): string[] {
  const list: string[] = [];
  const d = path === '' ? proc.root.open(t, t.fs.root, 0) : open(path);
  (d as FileDescription).getdents(t, (name) => list.push(name) > 0);
  return list;
}

const host = (path: string): string => readFileSync(`/proc/${path}`, 'latin1');
const labels = (text: string): string[] =>
  text
    .split('\n')
    .filter((l) => l.includes(':'))
    .map((l) => l.slice(0, l.indexOf(':')));

describe('files with labels have them in the order of the host', () => {
  for (const [ours, theirs, required] of [
    [
      '1/status',
      'self/status',
      ['Name', 'State', 'Tgid', 'Pid', 'PPid', 'Uid', 'Threads', 'SigCgt', 'CapEff'],
    ],
    [
      'meminfo',
      'meminfo',
      ['MemTotal', 'MemFree', 'MemAvailable', 'Buffers', 'Cached', 'SwapTotal', 'Shmem'],
    ],
    ['1/io', 'self/io', ['rchar', 'write_bytes']],
  ] as const) {
    test(ours, () => {
      const mine = labels(cat(ours));
      const his = labels(host(theirs));
      const common = mine.filter((l) => his.includes(l));
      expect(common).toEqual(his.filter((l) => mine.includes(l)));
      for (const l of required) expect(mine).toContain(l);
    });
  }
});

test('nothing is kept under the number of a process that is gone', () => {
  const pid = kernel.pidNs.alloc() as Pid;
  pid.task = t;
  const root = rootDentry(proc);
  const name = String(pid.nr);
  const dir = new Dentry(name, root, proc.root.lookup(name, t) as Inode);
  root.addChild(dir);
  dir.addChild(new Dentry('status', dir, dir.inode!.lookup('status', t) as Inode));
  pid.releaseIfUnused();
  expect(root.child(name)).toBe(dir);
  pid.task = null;
  pid.releaseIfUnused();
  expect(root.child(name)).toBeUndefined();
  expect(dir.child('status')).toBeUndefined();
});

test('stat of a process has 52 fields and keeps blanks and brackets of the name', () => {
  const text = cat('1/stat');
  expect(text.startsWith('1 (a (b) c) ')).toBe(true);
  const after = text.slice(text.lastIndexOf(')') + 2).trim();
  expect(after.split(' ').length).toBe(50);
  expect(
    host('self/stat')
      .slice(host('self/stat').lastIndexOf(')') + 2)
      .trim()
      .split(' ').length,
  ).toBe(50);
});

test('limits is laid out as on the host', () => {
  const shape = (text: string): string[] => text.split('\n').map((l) => l.slice(0, 26).trimEnd());
  expect(shape(cat('1/limits'))).toEqual(shape(host('self/limits')));
  expect(cat('1/limits').split('\n')[8]!.length).toBe(host('self/limits').split('\n')[8]!.length);
});

test('headings of tables are the host’s', () => {
  for (const f of ['sysvipc/msg', 'sysvipc/sem', 'sysvipc/shm', 'swaps', 'partitions']) {
    expect(cat(f).split('\n')[0]).toBe(host(f).split('\n')[0]);
  }
});

test('uptime, loadavg and stat parse as the host’s do', () => {
  const shape = (s: string): string => s.replace(/\d+/g, 'N');
  expect(shape(cat('uptime'))).toBe(shape(host('uptime')));
  expect(shape(cat('loadavg'))).toBe(shape(host('loadavg')));
  const first = (s: string): string[] => s.split('\n').map((l) => l.split(' ')[0]!);
  expect(first(cat('stat')).slice(0, 2)).toEqual(['cpu', 'cpu0']);
  expect(cat('stat').split('\n')[0]!.split(' ').length).toBe(host('stat').split('\n')[0]!.split(' ').length);
  expect(first(cat('stat')).slice(2)).toEqual(first(host('stat')).filter((l) => !l.startsWith('cpu')));
});

test('mounts, mountinfo and mountstats name the root', () => {
  expect(cat('1/mounts')).toBe('proc / proc rw 0 0\n');
  expect(cat('1/mountinfo')).toMatch(/^\d+ 1 0:\d+ \/ \/ rw - proc proc rw\n$/);
  expect(cat('1/mountstats')).toBe('device proc mounted on / with fstype proc\n');
});

test('self and thread-self lead to the reader', () => {
  expect(find('self').readlink(t)).toBe('1');
  expect(find('thread-self').readlink(t)).toBe('1/task/1');
  expect(find('1') instanceof PidDir).toBe(true);
  expect(proc.root.lookup('01', t)).toBe(-ENOENT);
  expect(proc.root.lookup('2', t)).toBe(-ENOENT);
  expect(names('1/task')).toEqual(['.', '..', '1']);
});

test('every file of a process can be read', () => {
  for (const name of names('1').slice(2)) {
    const node = find(`1/${name}`);
    if (node.isRegular && name !== 'mem') cat(`1/${name}`);
  }
  for (const name of names('').slice(2)) if (find(name).isRegular) cat(name);
});

test('inode numbers stay the same from one look-up to the next', () => {
  expect(find('1/stat').ino).toBe(find('1/stat').ino);
  expect(find('1/fd').ino).toBe(find('1/fd').ino);
});

test('comm and oom_score_adj can be written; limits of oom_score_adj hold', () => {
  expect(write('1/comm', 'a-name-longer-than-it-may-be\n')).toBe(29);
  expect(cat('1/comm')).toBe('a-name-longer-t\n');
  expect(write('1/oom_score_adj', '500\n')).toBe(4);
  expect(cat('1/oom_score_adj')).toBe('500\n');
  expect(write('1/oom_score_adj', '1001')).toBe(-EINVAL);
  const full = t.creds;
  t.creds = Object.assign(full.clone(), { effective: CapSet.EMPTY, euid: 1000, fsuid: 1000 });
  expect(write('1/oom_score_adj', '0')).toBe(-EACCES);
  expect(write('sys/kernel/hostname', 'x')).toBe(-EPERM);
  t.creds = full;
});

test('the host name is the UTS namespace’s', () => {
  expect(cat('sys/kernel/hostname')).toBe('box\n');
  expect(write('sys/kernel/hostname', 'other\n')).toBe(6);
  expect(t.ns.uts.nodename).toBe('other');
  expect(cat('sys/kernel/hostname')).toBe('other\n');
});

test('namespace links name kind and number', () => {
  expect(find('self').readlink(t)).toBe('1');
  expect(find('1/ns/user').readlink(t)).toBe('user:[4026531837]');
  expect(find('1/ns/net').readlink(t)).toMatch(/^net:\[\d+\]$/);
  expect(names('1/ns').length).toBe(12);
});

test('cpuinfo is the first processor’s, without the features that system calls refuse', () => {
  const text = cat('cpuinfo');
  const first = cpuInfo.slice(0, cpuInfo.indexOf('\n\n') + 2);
  expect(text.split('\n').length).toBe(first.split('\n').length);
  const flags = (of: string): string[] =>
    (of.split('\n').find((l) => l.startsWith('flags\t')) ?? '').split(' ');
  expect(flags(text)).toEqual(flags(first).filter((f) => !/^(pku|ospke|cpuid_fault|amx_.*)$/.test(f)));
});
