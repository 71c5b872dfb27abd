// What runc refuses for the sake of what programs trust, refused here too, with its words; and how commands end that nobody knows.
import { rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { run, runscTs } from '../lib/sandbox.ts';
import { defaultSpec, hasBusybox, hasRunc, type Spec, TestBundle } from './bundle.ts';

interface Case {
  readonly change: (s: Spec, b: TestBundle) => void;
  readonly said: RegExp;
}

const behindLink = (path: string): Case => ({
  change: (_s, b) => {
    rmSync(join(b.rootfs, path), { recursive: true });
    symlinkSync('/etc', join(b.rootfs, path));
  },
  said: /filesystem "(proc|sysfs)" must be mounted on ordinary directory/,
});

const cases: Record<string, Case> = {
  '/proc behind a link': behindLink('proc'),
  '/sys behind a link': behindLink('sys'),
  'capabilities that are inheritable but not bounding': {
    change: (s) => (s.process.capabilities.inheritable = ['CAP_SYS_TIME']),
    said: /unable to apply caps|capabilities.inheritable: must be a subset of bounding/,
  },
  'seccomp rules that contradict each other': {
    change: (s) => {
      const args = [{ index: 0, value: 5, op: 'SCMP_CMP_EQ' }];
      s.linux.seccomp = {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [1, 2].map((errnoRet) => ({ names: ['alarm'], action: 'SCMP_ACT_ERRNO', errnoRet, args })),
      };
    },
    said: /alarm.*(file exists|another action for the same arguments)/,
  },
  'a directory on a file': {
    change: (s, b) =>
      s.mounts.push({ destination: '/etc/passwd', type: 'bind', source: b.dir, options: ['bind'] }),
    said: /error mounting ".*" to rootfs at "\/etc\/passwd": mount .*:\/etc\/passwd.*: not a directory/,
  },
  'a mount below a file': {
    change: (s) => s.mounts.push({ destination: '/etc/passwd/x', type: 'tmpfs', source: 'tmpfs' }),
    said: /mkdir .*\/etc\/passwd.*: not a directory/,
  },
  'a bind on entries of a process': {
    change: (s, b) =>
      s.mounts.push({ destination: '/proc/self/attr', type: 'bind', source: b.dir, options: ['bind'] }),
    said: /cannot be mounted because it is inside \/proc/,
  },
};

describe.runIf(hasBusybox)('refused', () => {
  let b: TestBundle;
  beforeEach(() => {
    b = new TestBundle();
  });
  afterEach(() => b.remove());

  test.each(Object.entries(cases))('%s', (_name, { change, said }) => {
    const s = defaultSpec('true');
    change(s, b);
    for (const r of [...(hasRunc ? [b.runc(s)] : []), b.run('systrap', s)]) {
      expect(r.status).toBe(1);
      expect(r.stderr.replaceAll('\\"', '"')).toMatch(said);
    }
  });

  test('a tmpfs on entries of a process', () => {
    const s = defaultSpec('true');
    s.mounts.push({ destination: '/proc/self', type: 'tmpfs', source: 'tmpfs' });
    expect(b.run('systrap', s).stderr).toContain('"/proc/self" cannot be mounted because it is inside /proc');
  });

  test.runIf(hasRunc)('commands that are none, and no command', () => {
    for (const args of [[], ['nosuch'], ['nosuch', '-h'], ['-h']]) {
      expect(run(runscTs, args).status, args.join(' ')).toBe(run('/usr/sbin/runc', args).status);
    }
    expect(run(runscTs, []).stdout).toMatch(/^Usage: runsc-ts /);
  });
});
