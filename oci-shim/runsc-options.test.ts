import { expect, test } from 'vitest';
import { fromRunsc, hintFor } from './runsc-options.ts';

test('options of runsc that mean something here are taken, before the command only', () => {
  const argv = [
    '--overlay2=root:self',
    '--oci-seccomp',
    '--ignore-cgroups=true',
    '--strace-syscalls=read,write',
  ];
  const command = ['run', '--oci-seccomp', 'c1'];
  expect(fromRunsc([...argv, ...command])).toEqual(['--overlay', '--strace=read,write', ...command]);
  expect(fromRunsc(['--overlay2=none', '--root=/x', 'list'])).toEqual(['--root=/x', 'list']);
  expect(fromRunsc(['--root', '/x', '--oci-seccomp', 'list'])).toEqual(['--root', '/x', 'list']);
  expect(fromRunsc(['--oci-seccomp=false', 'list'])).toEqual(['--oci-seccomp=false', 'list']);
});

test('for others it is said what to do', () => {
  expect(hintFor(['--net-raw', 'run'])).toMatch(/^--net-raw: raw sockets need CAP_NET_RAW/);
  expect(hintFor(['--constructor', 'run'])).toBeNull();
});
