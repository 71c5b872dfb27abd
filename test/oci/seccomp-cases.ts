/** Cases of config.test.ts about `linux.seccomp`. */
import type { Case } from './config-cases.ts';

export const seccompCases: Record<string, Case> = {
  seccomp: {
    script:
      'grep Seccomp /proc/self/status; mkdir /nope 2>&1; chmod 600 /etc/passwd 2>&1; chmod 644 /etc/passwd && echo allowed; nice -n 5 true 2>&1',
    change: (s) =>
      (s.linux.seccomp = {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [
          { names: ['mkdir', 'mkdirat', 'no_such_call'], action: 'SCMP_ACT_ERRNO', errnoRet: 30 },
          {
            names: ['chmod'],
            action: 'SCMP_ACT_ERRNO',
            args: [{ index: 1, value: 0o600, op: 'SCMP_CMP_EQ' }],
          },
          {
            names: ['fchmodat'],
            action: 'SCMP_ACT_ERRNO',
            args: [{ index: 2, value: 0o600, op: 'SCMP_CMP_EQ' }],
          },
        ],
      }),
  },
  'seccomp rules with overlapping conditions': {
    script: 'for mode in 1 2 3 4 5 6 7; do chmod 00$mode /etc/passwd 2>&1; done; true',
    change: (s) => {
      const rules: [string, number, number][] = [
        ['GT', 1, 1], ['LE', 4, 2], ['EQ', 3, 4], ['GE', 6, 5], ['MASKED_EQ', 7, 12],
      ]; // prettier-ignore
      const syscalls = ['chmod', 'fchmodat'].flatMap((name, index) =>
        rules.map(([op, value, errnoRet]) => ({
          names: [name],
          action: 'SCMP_ACT_ERRNO',
          errnoRet,
          args: [{ index: index + 1, value, valueTwo: 0x57, op: `SCMP_CMP_${op}` }],
        })),
      );
      s.linux.seccomp = { defaultAction: 'SCMP_ACT_ALLOW', syscalls };
    },
  },
  'seccomp kills': {
    script: 'sh -c "mkdir /nope"; echo $?',
    change: (s) =>
      (s.linux.seccomp = {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: ['mkdir'], action: 'SCMP_ACT_KILL_PROCESS' }],
      }),
  },
};
