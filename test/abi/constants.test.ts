// Every constant in the kernel's sources that is spelt like one of Linux's has the value that the C headers give it.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '../..');

const HEADERS = [
  'asm/prctl.h', 'asm/unistd.h', 'errno.h', 'fcntl.h', 'linux/aio_abi.h', 'linux/audit.h', 'linux/capability.h', 'linux/close_range.h', 'linux/elf.h',
  'linux/eventpoll.h', 'linux/falloc.h', 'linux/filter.h', 'linux/fs.h', 'linux/futex.h', 'linux/if.h', 'linux/if_addr.h', 'linux/if_link.h',
  'linux/inotify.h', 'linux/ioprio.h', 'linux/kcmp.h', 'linux/limits.h', 'linux/magic.h', 'linux/major.h', 'linux/membarrier.h', 'linux/memfd.h',
  'linux/mman.h', 'linux/mqueue.h', 'linux/netlink.h', 'linux/openat2.h', 'linux/personality.h', 'linux/pidfd.h', 'linux/prctl.h', 'linux/random.h', 'linux/resource.h',
  'linux/route.h', 'linux/rtnetlink.h', 'linux/sched.h', 'linux/seccomp.h', 'linux/securebits.h', 'linux/shm.h', 'linux/sockios.h', 'linux/stat.h',
  'linux/timerfd.h', 'linux/vt.h', 'linux/wait.h', 'linux/xattr.h', 'netinet/in.h', 'netinet/tcp.h', 'netinet/udp.h', 'poll.h', 'sched.h', 'signal.h', 'sys/eventfd.h',
  'sys/file.h', 'sys/ioctl.h', 'sys/ipc.h', 'sys/mman.h', 'sys/mount.h', 'sys/msg.h', 'sys/ptrace.h', 'sys/sem.h', 'sys/shm.h', 'sys/signalfd.h',
  'sys/socket.h', 'sys/stat.h', 'sys/un.h', 'sys/wait.h', 'termios.h', 'time.h', 'unistd.h',
]; // prettier-ignore

/** Names that mean something else here than in the headers. */
const OTHER_MEANING = new Set([
  // The kernel's value differs from the one that glibc's headers show.
  'MINSIGSTKSZ',
  'NCCS',
  'LINK_MAX',
  'NR_OPEN',
  'STATX_SIZE',
  // With SECBIT_EXEC_*, which Debian's headers do not have yet.
  'SECURE_ALL_BITS',

  'PAGE_SIZE',
  'PATH_MAX',
  'TASK_SIZE',
  'O_LARGEFILE',
  'SIGRTMIN',
  'SIGRTMAX',
  'NSIG',
  'L_INCR',
]);

interface Constant {
  name: string;
  value: number;
  where: string;
}

function constants(): Constant[] {
  const files = execFileSync(
    'git',
    ['ls-files', '-co', '--exclude-standard', 'sentry/**/*.ts', 'sentry/*.ts', 'syscalls/*.ts'],
    {
      cwd: root,
      encoding: 'utf8',
    },
  );
  const found: Constant[] = [];
  for (const file of files
    .trim()
    .split('\n')
    .filter((f) => !f.endsWith('.test.ts'))) {
    const source = readFileSync(join(root, file), 'utf8');
    for (const m of source.matchAll(
      /^(?:export )?const ([A-Z][A-Z0-9_]{2,}) = (-?(?:0x[\da-fA-F_]+|0o[0-7_]+|\d[\d_]*));/gm,
    )) {
      const value = Number(m[2]!.replaceAll('_', ''));
      if (!OTHER_MEANING.has(m[1]!)) found.push({ name: m[1]!, value, where: file });
    }
  }
  return found;
}

/** Values that the headers give to those of `names` that are macros there. Headers conflict, so each is asked alone. */
function headerValues(names: readonly string[]): Map<string, Set<bigint>> {
  const dir = mkdtempSync(join(tmpdir(), 'abi-'));
  const values = new Map<string, Set<bigint>>();
  const print = names
    .map((n) => `#ifdef ${n}\n  printf("${n} %lld\\n", (long long)(${n}));\n#endif`)
    .join('\n');
  try {
    for (const header of HEADERS) {
      writeFileSync(
        join(dir, 'a.c'),
        `#define _GNU_SOURCE\n#include <stdio.h>\n#include <${header}>\nint main(void) {\n${print}\n  return 0;\n}\n`,
      );
      const built = spawnSync('cc', ['-w', '-o', join(dir, 'a'), join(dir, 'a.c')], { stdio: 'ignore' });
      // Absent on this machine, or a macro that is no number.
      if (built.status !== 0) continue;
      for (const line of execFileSync(join(dir, 'a'), { encoding: 'utf8' })
        .split('\n')
        .filter((l) => l !== '')) {
        const [name, value] = line.split(' ') as [string, string];
        values.set(name, (values.get(name) ?? new Set()).add(BigInt(value)));
      }
    }
  } finally {
    rmSync(dir, { recursive: true });
  }
  return values;
}

test('constants agree with the C headers', { timeout: 120_000 }, () => {
  const all = constants();
  const values = headerValues([...new Set(all.map((c) => c.name))]);
  const checked = all.filter((c) => values.has(c.name));
  const low = (v: bigint): bigint => BigInt.asUintN(32, v);
  const wrong = checked.filter((c) => ![...values.get(c.name)!].some((v) => low(v) === low(BigInt(c.value))));
  expect(
    wrong.map((c) => `${c.where}: ${c.name} = ${c.value}, headers: ${[...values.get(c.name)!].join(', ')}`),
  ).toEqual([]);
  expect(checked.length).toBeGreaterThan(400);
});
