/**
 * What the host sees of a live sandbox: namespaces, ids, capabilities, seccomp, descriptors, mounts and limits of every
 * process, read from the host's /proc. SECURITY.md states the same in words.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CHUNKS_PER_AREA, MAP_FD, SLOTS_PER_CHUNK } from '../platform-ptrace/stub-layout.ts';

const dist = join(import.meta.dirname, '../dist');
const isRoot = process.getuid?.() === 0;
const NAMESPACES = ['user', 'pid', 'mnt', 'ipc', 'uts', 'net'];
/** CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID */
const GOFER_CAPS = '000000000000001f';
const CAP_KILL = '0000000000000020';
const CAP_NET_RAW = '0000000000002000';
/** NET_BIND_SERVICE, NET_ADMIN, NET_RAW, SYS_ADMIN */
const NETWORKER_CAPS = '0000000000203400';
const NO_CAPS = '0000000000000000';

const read = (pid: number, file: string): string => readFileSync(`/proc/${pid}/${file}`, 'latin1');

function children(pid: number): number[] {
  return read(pid, `task/${pid}/children`).trim().split(' ').filter(Boolean).map(Number);
}

function status(pid: number, task = pid): Map<string, string> {
  const lines = read(pid, `task/${task}/status`).split('\n');
  return new Map(lines.map((line) => [line.split(':')[0]!, line.slice(line.indexOf(':') + 1).trim()]));
}

const namespaces = (pid: number): string[] => NAMESPACES.map((ns) => readlinkSync(`/proc/${pid}/ns/${ns}`));

/** What descriptors point to, without numbers of inodes. */
function descriptors(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).map((fd) =>
    readlinkSync(`/proc/${pid}/fd/${fd}`).replace(/^(socket|pipe):\[\d+\]$/, '$1'),
  );
}

/** Soft and hard limit by name, as in /proc/PID/limits. */
function limit(pid: number, name: string): string {
  const line = read(pid, 'limits')
    .split('\n')
    .find((l) => l.startsWith(name))!;
  return line.slice(26, 68).trim().split(/ +/).slice(0, 2).join(' ');
}

/**
 * /proc/PID/exe as a process of the same id and user namespace without capabilities may read it: only if PID is dumpable.
 */
function exeSeenByPeer(pid: number): string {
  const peer = ['nsenter', '-U', '-t', String(pid), '--setuid', '0', '--setgid', '0'];
  const plain = ['setpriv', '--bounding-set=-all', '--inh-caps=-all', 'readlink', `/proc/${pid}/exe`];
  return spawnSync('env', [...peer, ...plain], { encoding: 'utf8' }).stdout.trim();
}

interface Sandbox {
  launcher: number;
  gofer: number;
  init: number;
  sentry: number;
  /** Of raw sockets, for whoever may have them: not for ordinary users. */
  opener: number | undefined;
  networker: number;
  guests: number[];
}

/** Whether threads may ask for the length of their turns: since Linux 6.12, if the policy is the usual one. */
const canShortenTurns = ((): boolean => {
  const [major, minor] = release().split('.').map(Number);
  const sched = existsSync('/proc/self/sched') ? readFileSync('/proc/self/sched', 'latin1') : '';
  return major! * 100 + minor! >= 612 && /^se\.slice\s/m.test(sched) && /^policy\s*:\s*0$/m.test(sched);
})();

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** The sandbox below a launcher, once its processes are the same for a while. */
async function find(launcher: number): Promise<Sandbox> {
  let last = '';
  let same = 0;
  for (let i = 0; i < 200; i++) {
    await sleep(200);
    const [gofer, init] = children(launcher);
    if (gofer === undefined || init === undefined) continue;
    const [sentry, ...others] = children(init);
    const networker = others.pop();
    if (sentry === undefined || networker === undefined || status(sentry).get('Seccomp') !== '2') continue;
    const guests = children(sentry);
    same = guests.join() === last ? same + 1 : 0;
    if (guests.length >= 4 && same >= 5) {
      return { launcher, gofer, init, sentry, opener: others[0], networker, guests };
    }
    last = guests.join();
  }
  throw new Error('the sandbox did not come up');
}

describe.each([
  { platform: 'systrap', ids: undefined },
  { platform: 'ptrace', ids: undefined },
  ...(isRoot ? [{ platform: 'systrap', ids: 1000 }] : []),
])('a sandbox on $platform as $ids', ({ platform, ids }) => {
  let child: ChildProcess;
  let box: Sandbox;
  const asRoot = isRoot && ids === undefined;

  beforeAll(async () => {
    const args = ['--platform', platform, 'do', '--', 'sh', '-c', 'echo up; cat | cat'];
    child = spawn(join(dist, 'runsc-ts'), args, {
      stdio: ['pipe', 'pipe', 'inherit'],
      ...(ids === undefined ? {} : { uid: ids, gid: ids }),
    });
    await new Promise((resolve) => child.stdout!.once('data', resolve));
    box = await find(child.pid!);
  }, 60_000);

  afterAll(() => child.kill('SIGKILL'));

  const everyone = () => [
    ...[box.launcher, box.gofer, box.init, box.sentry, box.networker],
    ...(box.opener === undefined ? [] : [box.opener]),
    ...box.guests,
  ];

  test('every process has no_new_privs, a seccomp filter in every thread, and a core limit of 1', () => {
    for (const pid of everyone()) {
      for (const tid of readdirSync(`/proc/${pid}/task`)) {
        const s = status(pid, Number(tid));
        expect([s.get('Name'), s.get('Seccomp'), s.get('NoNewPrivs')]).toEqual([s.get('Name'), '2', '1']);
      }
      expect(limit(pid, 'Max core file size')).toBe('1 1');
    }
  });

  test('init, sentry and guests have no capability and an id without rights', () => {
    for (const pid of [box.init, box.sentry, ...box.guests]) {
      for (const tid of readdirSync(`/proc/${pid}/task`)) {
        const s = status(pid, Number(tid));
        for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
          expect(s.get(set)).toBe(NO_CAPS);
        const id = String(ids ?? (isRoot ? 65534 : process.getuid?.()));
        expect(s.get('Uid')!.split('\t')).toEqual([id, id, id, id]);
        if (asRoot) expect(s.get('Groups')).toBe('');
      }
    }
  });

  test("the sentry's helper threads get less CPU than the one that runs the kernel", () => {
    const nice = (tid: string): number => {
      const stat = read(box.sentry, `task/${tid}/stat`);
      return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]);
    };
    const main = nice(String(box.sentry));
    const helpers = readdirSync(`/proc/${box.sentry}/task`).filter((tid) => Number(tid) !== box.sentry);
    expect(helpers.length).toBeGreaterThan(3);
    for (const tid of helpers) expect(nice(tid)).toBe(Math.min(main + 10, 19));
  });

  /** Length of a thread's turns in ns, where the host says so (Linux 6.12 and later). */
  const slice = (pid: number, tid = pid): number =>
    Number(/^se\.slice\s*:\s*(\d+)$/m.exec(read(pid, `task/${tid}/sched`))?.[1]);

  test.skipIf(!canShortenTurns)(
    'the kernel and the guests have shorter turns than its helpers and others',
    () => {
      expect(slice(box.sentry)).toBe(100_000);
      for (const pid of box.guests) expect(slice(pid)).toBe(100_000);
      for (const tid of readdirSync(`/proc/${box.sentry}/task`)) {
        if (Number(tid) !== box.sentry) expect(slice(box.sentry, Number(tid))).toBe(slice(box.gofer));
      }
      expect(slice(box.gofer)).toBeGreaterThan(100_000);
    },
  );

  test('launcher and gofer have what they need and no more', () => {
    const launcher = status(box.launcher);
    const gofer = status(box.gofer);
    for (const set of ['CapPrm', 'CapEff', 'CapBnd']) {
      expect(gofer.get(set)).toBe(GOFER_CAPS);
      if (asRoot) expect(launcher.get(set)).toBe(CAP_KILL);
    }
    if (!asRoot) expect(launcher.get('CapEff')).toBe(NO_CAPS);
  });

  test('the opener of raw sockets has that right in the sandbox’s user namespace, and nothing else', () => {
    if (!asRoot) {
      expect(box.opener).toBe(undefined);
      return;
    }
    const pid = box.opener!;
    const opener = status(pid);
    for (const set of ['CapPrm', 'CapEff', 'CapBnd']) expect(opener.get(set)).toBe(CAP_NET_RAW);
    expect(opener.get('CapAmb')).toBe(NO_CAPS);
    expect(opener.get('Uid')!.split('\t')).toEqual(['65534', '65534', '65534', '65534']);
    expect(namespaces(pid)).toEqual(namespaces(box.sentry));
    expect(descriptors(pid)).toEqual(['/dev/null', '/dev/null', '/dev/null', 'socket']);
    expect(readdirSync(`/proc/${pid}/root/`)).toEqual([]);
  });

  test('the networker has its rights in the sandbox’s user namespace only', () => {
    const networker = status(box.networker);
    for (const set of ['CapPrm', 'CapEff', 'CapBnd']) expect(networker.get(set)).toBe(NETWORKER_CAPS);
    expect(networker.get('CapAmb')).toBe(NO_CAPS);
    expect(networker.get('Uid')).toBe(status(box.sentry).get('Uid'));
    expect(namespaces(box.networker)).toEqual(namespaces(box.sentry));
    // The sandbox's own network, /proc/net as init and as it itself have it and, for root, a directory with nothing but /dev/net/tun.
    const own = descriptors(box.networker).map((d) => d.replace(/\d+/, ''));
    const expected = [
      '/dev/null',
      '/dev/null',
      '/dev/null',
      'net:[]',
      'socket',
      '/',
      '/',
      ...(asRoot ? ['/'] : []),
    ];
    expect(own.sort()).toEqual(expected.sort());
    if (asRoot) expect(readdirSync(`/proc/${box.networker}/fd/4/`)).toEqual(['tun']);
    if (isRoot) expect(readdirSync(`/proc/${box.networker}/root/`)).toEqual([]);
  });

  test('init, sentry and guests share six namespaces with nobody else; the gofer has its own', () => {
    const own = namespaces(process.pid);
    const inside = namespaces(box.sentry);
    for (const pid of [box.init, ...box.guests]) expect(namespaces(pid)).toEqual(inside);
    inside.forEach((ns, i) => expect(ns, NAMESPACES[i]).not.toBe(own[i]));
    const gofer = namespaces(box.gofer);
    gofer.forEach((ns, i) => {
      if (NAMESPACES[i] === 'user' && asRoot) expect(ns).toBe(own[i]);
      else expect([own[i], inside[i]]).not.toContain(ns);
    });
  });

  test('the only mount inside is an empty read-only root', () => {
    for (const pid of [box.init, box.sentry, ...box.guests]) {
      const mounts = read(pid, 'mountinfo').trim().split('\n');
      expect(mounts).toHaveLength(1);
      const fields = mounts[0]!.split(' ');
      expect(fields[4]).toBe('/');
      expect(fields[5]!.split(',').sort()).toEqual(['nodev', 'noexec', 'nosuid', 'relatime', 'ro']);
      expect(mounts[0]).toContain(' - tmpfs ');
      expect(readdirSync(`/proc/${pid}/root/`)).toEqual([]);
      expect(readdirSync(`/proc/${pid}/cwd/`)).toEqual([]);
    }
  });

  test('the gofer sees exports without devices and setuid, its own procfs, and nothing else', () => {
    const pseudo = /^(proc|sysfs|devtmpfs|devpts|cgroup2?|mqueue|debugfs|tracefs|bpf)$/;
    for (const line of read(box.gofer, 'mountinfo').trim().split('\n')) {
      const point = line.split(' ')[4]!;
      const options = line.split(' ')[5]!.split(',');
      expect(point).toMatch(/^\/($|proc$|\d+($|\/))/);
      expect(options).toContain('nosuid');
      expect(options).toContain('nodev');
      expect(line, 'private').not.toMatch(/ (shared|master):/);
      const type = line.slice(line.indexOf(' - ') + 3).split(' ')[0]!;
      if (point === '/proc') expect(line).toContain('subset=pid');
      else if (asRoot) expect(type, point).not.toMatch(pseudo);
    }
    expect(readdirSync(`/proc/${box.gofer}/root/`).sort()).toContain('proc');
  });

  test('sentry and init cannot be read by a process of their own id', () => {
    if (!asRoot) return;
    for (const pid of [box.init, box.sentry, box.opener!, box.networker]) expect(exeSeenByPeer(pid)).toBe('');
    for (const pid of box.guests) expect(exeSeenByPeer(pid)).toMatch(/stub$/);
  });

  test('guests and zygote hold no descriptor beyond the gate', () => {
    for (const pid of box.guests) {
      expect(descriptors(pid)).toEqual([]);
      const numbers = MAP_FD + SLOTS_PER_CHUNK * CHUNKS_PER_AREA;
      expect(limit(pid, 'Max open files')).toBe(`${numbers} ${numbers}`);
      expect(limit(pid, 'Max locked memory')).toBe('0 0');
      expect(limit(pid, 'Max realtime priority')).toBe('0 0');
    }
  });

  test('launcher and init hold sockets, a signalfd, /dev/null and standard error', () => {
    const stderr = readlinkSync('/proc/self/fd/2').replace(/:\[\d+\]$/, '');
    for (const pid of [box.launcher, box.init])
      for (const target of descriptors(pid))
        expect(['socket', 'anon_inode:[signalfd]', '/dev/null', stderr]).toContain(target);
  });

  test('the sentry holds no directory, no device but the null device, no procfs', () => {
    for (const fd of readdirSync(`/proc/${box.sentry}/fd`)) {
      const target = readlinkSync(`/proc/${box.sentry}/fd/${fd}`);
      const known =
        /^(socket:|pipe:|\/memfd:|anon_inode:(\[(eventfd|eventpoll|pidfd|timerfd|signalfd)\]|inotify|seccomp))/;
      if (known.test(target) || target === '/dev/null' || target === readlinkSync('/proc/self/fd/2'))
        continue;
      const donated = statSync(`/proc/${box.sentry}/fd/${fd}`);
      expect(donated.isFile(), `${fd} ${target}`).toBe(true);
      const flags = /flags:\s+([0-7]+)/.exec(read(box.sentry, `fdinfo/${fd}`))![1]!;
      const O_PATH = 0o10000000;
      expect(Math.floor(parseInt(flags, 8) / O_PATH) % 2).toBe(0);
    }
  });

  test('nothing is left when the launcher is killed', async () => {
    const pids = everyone();
    child.kill('SIGKILL');
    for (let i = 0; i < 100 && pids.some((pid) => alive(pid)); i++) await sleep(20);
    expect(pids.filter(alive)).toEqual([]);
  });
});

function alive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(read(pid, 'status'));
  } catch {
    return false;
  }
}
