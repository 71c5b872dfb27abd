import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import * as protocol from './launcher-protocol.ts';

test('numbers equal those of launcher.h', () => {
  const header = readFileSync(join(import.meta.dirname, '../native/launcher.h'), 'latin1');
  let compared = 0;
  for (const [name, value] of Object.entries(protocol)) {
    if (typeof value !== 'number' || name === 'MSG_SIZE' || name === 'MAX_TEXT') continue;
    const found = new RegExp(`\\b${name} = ([0-9 +]+)`).exec(header);
    const sum = found?.[1]?.split('+').reduce((total, term) => total + Number(term), 0);
    expect(sum, name).toBe(value);
    compared++;
  }
  expect(compared).toBeGreaterThan(15);
});

test('the command line names every option', () => {
  const argv = protocol.launcherArgv({
    node: '/n',
    dist: '/d',
    uid: 5,
    gid: 6,
    network: 'host',
    rawSockets: true,
    terminal: true,
    title: ['sh', '-c'],
    identity: {
      uid: 1,
      gid: 2,
      umask: 0o27,
      groups: [3, 4],
      cwd: '/w',
      rlimits: { 7: { soft: 10, hard: -1 } },
    },
    createFd: 12,
    joinFd: 13,
    goferLinkFd: 14,
    logFd: 7,
    sentryConfigFd: 8,
    goferConfigFd: 9,
    donatedFds: [10, 11],
    joinProcsFds: [18],
    lateProcsFds: [19],
    guestProcsFds: [20],
    leaveProcsFds: [21, 22],
    rmdirs: ['/sys/fs/cgroup/x'],
    newNamespaces: 0x20000000,
    joinNamespaces: [{ flag: 0x04000000, fd: 23 }],
    hostname: 'h',
    domainname: 'd.e',
    timeOffsets: 'monotonic 1 0',
    root: '/r',
    sentryArgs: ['a', 'b=c'],
    goferArgs: ['g'],
    sentrySnapshot: 's',
    goferSnapshot: 't',
    exports: [
      { path: '/x', readOnly: true },
      { path: '/y', readOnly: false, idMap: { recursive: true, uids: '0 1 2', gids: '3 4 5' } },
      { path: '/l', readOnly: false, overlay: 'lowerdir=/l,upperdir=/u,workdir=/w' },
    ],
  });
  expect(argv.slice(1).join(' ')).toBe(
    'node=/n dist=/d stub=1 uid=5 gid=6 net=host raw=1 terminal=1 title=sh title=-c user=1:2:27:3,4 cwd=/w rlimit=7:10:18446744073709551615 create=12 join=13 gofer-link=14 log=7 sentry-config=8 gofer-config=9 donate=10 donate=11 ' +
      'join-procs=18 late-procs=19 guest-procs=20 leave-procs=21 leave-procs=22 rmdir=/sys/fs/cgroup/x ' +
      'new-ns=536870912 join-ns=67108864:23 hostname=h domainname=d.e time-offsets=monotonic 1 0 root=/r ' +
      'sentry-arg=a sentry-arg=b=c gofer-arg=g sentry-snapshot=s gofer-snapshot=t export=ro:/x export=rw:/y export=rw:/l idmap=1:1:0 1 2:3 4 5 ' +
      'overlay=2:lowerdir=/l,upperdir=/u,workdir=/w',
  );
});
