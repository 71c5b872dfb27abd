/** Devices of config.json: a part of config-cases.ts. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Spec } from './bundle.ts';
import type { Case } from './config-cases.ts';

/** Nodes that no driver has, and who may open them. */
const devices = ['c7', 'c8', 'b9'].map((name) => ({
  path: `/dev/${name}`,
  type: name[0],
  major: 250,
  minor: Number(name[1]),
  fileMode: 0o666,
}));
const deviceScript =
  'cd /dev; for d in c7 c8 b9; do (: < $d) 2>&1; (: > $d) 2>&1; (: <> $d) 2>&1; test -r $d; echo $?; test -w $d; echo $?; done';

export const deviceCases: Record<string, Case> = {
  'default devices': {
    script:
      'cd /dev; for f in null zero full random urandom tty; do stat -c "%n %F %a %t,%T %u %g" $f; done;' +
      'for f in fd stdin stdout stderr ptmx; do echo $f $(readlink $f); done; ls | grep -v -e core | sort | tr "\\n" " "',
  },
  'more devices': {
    script:
      'cd /dev; for f in test1 test2 test3 sub/null; do stat -c "%n %F %a %t,%T %u %g" $f; done; echo x > sub/null',
    change: (s) =>
      (s.linux.devices = [
        { path: '/dev/test1', type: 'c', major: 10, minor: 666, fileMode: 0o660, uid: 3, gid: 4 },
        { path: '/dev/test2', type: 'b', major: 8, minor: 666, fileMode: 0o7660 },
        { path: '/dev/test3', type: 'p', major: 1, minor: 3, fileMode: 0o640 },
        { path: '/dev/sub/null', type: 'c', major: 1, minor: 3, fileMode: 0o666 },
      ]),
  },
  'default devices with other rights': {
    // A default device that is given anew has no default rule any more.
    script: 'stat -c "%n %F %a %t,%T %u %g" /dev/zero; cat /dev/zero 2>&1; echo $?',
    change: (s) =>
      (s.linux.devices = [
        { path: '/dev/zero', type: 'c', major: 1, minor: 5, fileMode: 0o622, uid: 1, gid: 2 },
      ]),
  },
  'default devices with other numbers': {
    script: 'stat -c "%n %F %a %t,%T %u %g" /dev/full; head -c 2 /dev/full | wc -c',
    change: (s) =>
      (s.linux.devices = [
        { path: '/dev/full', type: 'c', major: 1, minor: 3, fileMode: 0o640, uid: 1, gid: 2 },
      ]),
  },
  'devices where the host has some': {
    script: 'stat -c "%n %F %a %t,%T" /bound/null /dev/null; ls /dev',
    change: (s, b) => {
      const nodes = join(b.dir, 'nodes');
      mkdirSync(nodes, { recursive: true });
      if (!existsSync(join(nodes, 'null')))
        execFileSync('mknod', ['-m', '604', join(nodes, 'null'), 'c', '1', '3']);
      const proc = s.mounts.find((m: Spec) => m.destination === '/proc');
      const bind = { type: 'bind', source: nodes, options: ['bind'] };
      s.mounts = [proc, { ...bind, destination: '/dev' }, { ...bind, destination: '/bound' }];
      s.linux.devices = ['/dev/null', '/bound/null', '/dev/other'].map((path) => ({
        path,
        type: 'c',
        major: 1,
        minor: 3,
        fileMode: 0o666,
      }));
    },
  },
  'devices without a driver': {
    script: 'cat /dev/test1 2>&1; echo $?',
    change: (s) => {
      s.linux.devices = [{ path: '/dev/test1', type: 'c', major: 250, minor: 77 }];
      s.linux.resources.devices.push({ allow: true, type: 'c', major: 250, access: 'rw' });
    },
  },
  'rules for devices': {
    script: deviceScript,
    change: (s) => {
      s.linux.devices = devices;
      s.linux.resources.devices.push(
        { allow: true, type: 'c', major: 250, minor: 7, access: 'r' },
        { allow: true, type: 'c', major: 250, minor: 8, access: 'rw' },
        { allow: false, type: 'c', major: 250, minor: 8, access: 'r' },
        { allow: true, type: 'b', major: 250, minor: 9, access: 'rwm' },
      );
    },
  },
  'rules that deny some devices': {
    script: deviceScript,
    change: (s) => {
      s.linux.devices = devices;
      s.linux.resources.devices = [
        { allow: true, access: 'rwm' },
        { allow: false, type: 'c', major: 250, minor: 7, access: 'r' },
        { allow: false, type: 'b', major: 250, access: 'w' },
      ];
    },
  },
  'devices outside of /dev': {
    script: 'stat -c "%F %t,%T %a" /node; head -c 3 /node | wc -c',
    change: (s) => (s.linux.devices = [{ path: '/node', type: 'c', major: 1, minor: 5, fileMode: 0o644 }]),
    expected: 'character special file 1,5 644\n3\n',
  },
};
