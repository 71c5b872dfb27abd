import { expect, test } from 'vitest';
import { fromRunsc, hintFor } from './runsc-options.ts';

test('options of runsc that mean something here are taken, before the command only', () => {
  const command = ['run', '--oci-seccomp', 'c1', '--strace'];
  expect(fromRunsc(['--overlay2=root:self', '--oci-seccomp', ...command])).toEqual(['--overlay', ...command]);
  expect(fromRunsc(['--overlay2=none', '--root=/x', 'list'])).toEqual(['--root=/x', 'list']);
  expect(fromRunsc(['--root', '/x', '--overlay2', 'all:memory', 'list'])).toEqual([
    '--root',
    '/x',
    '--overlay',
    'list',
  ]);
  expect(fromRunsc(['--oci-seccomp=false', 'list'])).toEqual(['--oci-seccomp=false', 'list']);
});

test.each([
  [['--strace'], ['--strace=all']],
  [['-strace=1'], ['--strace=all']],
  [['--strace=false'], []],
  [['--strace=read,write'], ['--strace=read,write']],
  [['--strace-syscalls=read,write'], []],
  [['--strace-syscalls', 'read,write', '--strace'], ['--strace=read,write']],
  [['--strace=true', '--strace-syscalls=read'], ['--strace=read']],
  [['--strace', '--strace-syscalls='], ['--strace=all']],
  [['--strace=false', '--strace-syscalls=read'], []],
])('%j asks for %j', (given, meant) => {
  expect(fromRunsc([...given, 'list'])).toEqual([...meant, 'list']);
});

test('--strace-syscalls without a value is refused', () => {
  expect(() => fromRunsc(['--strace', '--strace-syscalls'])).toThrow('--strace-syscalls: a value is missing');
});

test('for others it is said what to do', () => {
  expect(hintFor(['--net-raw', 'run'])).toMatch(/^--net-raw: raw sockets need CAP_NET_RAW/);
  expect(hintFor(['--constructor', 'run'])).toBeNull();
});
