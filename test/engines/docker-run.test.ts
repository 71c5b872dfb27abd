/** `docker run` in the forms people use, each under runc and under runsc-ts by the same dockerd: both must agree. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { needed, startDockerd, type Dockerd } from './lib/dockerd.ts';
import { missing } from './lib/programs.ts';

const lacking = missing(needed);
if (lacking.length > 0) console.log(`SKIPPED: Docker tests need ${lacking.join(', ')}`);

let daemon: Dockerd;

interface RunCase {
  readonly name: string;
  /** Options of `docker run`. */
  readonly options?: readonly string[] | (() => readonly string[]);
  readonly command: readonly string[];
  readonly input?: string;
  /** What may differ between two runs of runc itself is taken out. */
  readonly normalize?: (text: string) => string;
}

const sh = (script: string): string[] => ['sh', '-c', script];

const volume = (): string => join(daemon.dir, 'volume');

const denyMkdir = (): string => {
  const file = join(daemon.dir, 'seccomp.json');
  writeFileSync(
    file,
    JSON.stringify({
      defaultAction: 'SCMP_ACT_ALLOW',
      syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 28 }],
    }),
  );
  return file;
};

const cases: readonly RunCase[] = [
  { name: 'exit status 0', command: ['true'] },
  { name: 'exit status 7', command: sh('exit 7') },
  { name: 'a program that is not there: 127', command: ['/nosuch'] },
  { name: 'a name that is not in PATH: 127', command: ['nosuch'] },
  { name: 'a file that is no program: 126', command: ['/etc/plain'] },
  { name: 'a directory as program: 126', command: ['/etc'] },
  { name: 'a child killed by a signal', command: sh('sh -c "kill -9 \\$\\$"; echo $?') },
  { name: 'output and error apart', command: sh('echo out; echo err >&2') },
  { name: 'standard input', options: ['--interactive'], command: sh('wc -c; cat'), input: 'some\nlines\n' },
  { name: 'no standard input', command: sh('cat; echo end') },
  {
    name: 'user by name',
    options: ['--user', 'user'],
    command: sh('id; pwd; echo $HOME; touch /x; echo $?'),
  },
  { name: 'user by number', options: ['--user', '1234:56'], command: ['id'] },
  { name: 'more groups', options: ['--user', '1000', '--group-add', '77'], command: ['id', '-G'] },
  {
    name: 'working directory is made',
    options: ['--workdir', '/made/here'],
    command: sh('pwd; ls -ld .'),
    normalize: noDate,
  },
  {
    name: 'environment',
    options: ['--env', 'A=b c', '--hostname', 'box'],
    command: sh('echo "$A"; hostname; echo $HOSTNAME; echo $PATH'),
  },
  {
    name: 'hosts and resolv.conf',
    options: ['--hostname', 'box', '--add-host', 'other:10.1.2.3', '--dns', '10.9.9.9'],
    command: sh('grep other /etc/hosts; cat /etc/resolv.conf; cat /etc/hostname'),
  },
  {
    name: 'files of the image are changed',
    command: sh(
      'cat /etc/plain; echo more >> /etc/plain; cat /etc/plain; chmod 600 /etc/passwd; echo > /etc/passwd; wc -c /etc/passwd',
    ),
  },
  {
    name: 'read-only root',
    options: ['--read-only'],
    command: sh('touch /x; echo $?; touch /dev/shm/y; echo $?'),
  },
  {
    name: 'tmpfs',
    options: ['--tmpfs', '/scratch:size=1m,mode=700'],
    command: sh(
      'grep " /scratch " /proc/mounts | cut -d" " -f1-3; df -k /scratch | tail -1 | tr -s " " | cut -d" " -f2; stat -c %a /scratch',
    ),
  },
  {
    name: 'volume',
    options: () => ['--volume', `${volume()}:/v`],
    command: sh('cat /v/file; echo more >> /v/log; stat -c "%a %u" /v/file; ls /v'),
  },
  {
    name: 'read-only volume',
    options: () => ['--volume', `${volume()}:/v:ro`],
    command: sh('cat /v/file; touch /v/x; echo $?'),
  },
  {
    name: 'volume of one file',
    options: () => ['--volume', `${volume()}/file:/etc/one`],
    command: sh('cat /etc/one'),
  },
  {
    name: 'named volume',
    options: ['--volume', 'named:/data'],
    command: sh('echo x > /data/f; cat /data/f'),
  },
  { name: 'default capabilities', command: sh('grep Cap /proc/self/status') },
  {
    name: 'no capabilities',
    options: ['--cap-drop', 'ALL'],
    command: sh('grep Cap /proc/self/status; chown user /tmp; echo $?'),
  },
  {
    name: 'one capability more',
    options: ['--cap-add', 'NET_ADMIN'],
    command: sh('grep CapEff /proc/self/status'),
  },
  {
    name: 'no new privileges',
    options: ['--security-opt', 'no-new-privileges'],
    command: sh('grep NoNewPrivs /proc/self/status'),
  },
  {
    name: 'the default seccomp profile',
    command: sh(
      'grep "^Seccomp:" /proc/self/status; unshare -m true; echo $?; mount -t tmpfs x /tmp; echo $?',
    ),
  },
  {
    name: 'a seccomp profile of its own',
    options: () => ['--security-opt', `seccomp=${denyMkdir()}`],
    command: sh('mkdir /tmp/d; echo $?'),
  },
  {
    name: 'no seccomp profile',
    options: ['--security-opt', 'seccomp=unconfined'],
    command: sh('grep "^Seccomp:" /proc/self/status'),
  },
  {
    name: 'ulimit',
    options: ['--ulimit', 'nofile=100:200', '--ulimit', 'core=0'],
    command: sh('ulimit -n; ulimit -Hn; ulimit -c'),
  },
  {
    name: 'sysctl',
    options: ['--sysctl', 'net.ipv4.ip_forward=1', '--sysctl', 'kernel.msgmax=4096'],
    command: sh('cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax'),
  },
  {
    name: 'sysctl of the host’s network',
    options: ['--network', 'host', '--sysctl', 'net.ipv4.ip_forward=1'],
    command: ['true'],
  },
  {
    name: 'more limits',
    options: ['nproc=50', 'stack=1048576:2097152', 'memlock=4096', 'fsize=8192', 'msgqueue=1000', 'sigpending=33', 'locks=5', 'rttime=99', 'data=99999999', 'cpu=77'].flatMap((l) => ['--ulimit', l]), // prettier-ignore
    // Those that nobody sets are the daemon's own under runc.
    command: ['grep', '-E', '^Max (processes|stack|locked|file|msgqueue|pending|realtime timeout|data|cpu)', '/proc/self/limits'], // prettier-ignore
  },
  {
    name: 'tmpfs without a mode',
    options: ['--tmpfs', '/root:noexec', '--tmpfs', '/home'],
    command: sh(
      'stat -c "%a %u" /root /home; grep -E " /(root|home) " /proc/mounts | cut -d" " -f2-3 | sort',
    ),
  },
  {
    name: 'some of the processors',
    options: ['--cpuset-cpus', '0', '--cpu-shares', '100'],
    command: sh('nproc; grep Cpus_allowed_list /proc/self/status'),
  },
  {
    name: 'limits of block devices, swapping and devices',
    options: ['--blkio-weight', '300', '--memory', '64m', '--memory-reservation', '32m', '--memory-swappiness', '10', '--oom-kill-disable', '--device-cgroup-rule', 'c 42:* rmw'], // prettier-ignore
    command: ['true'],
  },
  {
    name: 'domain name and hardware address',
    options: ['--hostname', 'box', '--domainname', 'example.org', '--mac-address', '02:42:ac:11:00:99'],
    command: sh('hostname; cat /proc/sys/kernel/domainname; hostname -f; cat /sys/class/net/eth0/address'),
  },
  {
    name: 'mounting with the right to',
    options: ['--security-opt', 'seccomp=unconfined', '--cap-add', 'SYS_ADMIN'],
    command: sh('mount -t tmpfs x /tmp && grep -c " /tmp " /proc/mounts; unshare -m true; echo $?; mount -t proc p /root && ls -d /root/1'), // prettier-ignore
  },
  {
    name: 'nothing masked',
    options: ['--security-opt', 'systempaths=unconfined'],
    command: sh('test -w /proc/sys/kernel; echo $?; grep -c " /proc/" /proc/mounts'),
  },
  {
    name: 'a user’s capabilities',
    options: ['--user', 'user:extra', '--cap-add', 'NET_BIND_SERVICE', '--group-add', '5'],
    command: sh('id; grep Cap /proc/self/status'),
  },
  {
    name: 'propagation of volumes',
    options: ['--mount', 'type=bind,src=/tmp,dst=/t,bind-propagation=rslave', '--volume', '/tmp:/p:private'],
    command: sh('grep -E " /[tp] " /proc/self/mountinfo | cut -d" " -f5,7 | cut -d: -f1 | sort'),
  },
  {
    name: 'a directory that cannot be: 126 or 127',
    options: ['--workdir', '/etc/passwd'],
    command: ['true'],
  },
  {
    name: 'environment from the client and without values',
    options: ['--env', 'NOT_SET_ANYWHERE', '--env', 'B=', '--env', 'C=1=2', '--hostname', 'box'],
    command: sh('env | sort'),
  },
  { name: 'init', options: ['--init'], command: sh('cat /proc/1/comm; test $$ -gt 1; echo $?') },
  { name: 'oom score', options: ['--oom-score-adj', '500'], command: sh('cat /proc/self/oom_score_adj') },
  {
    name: 'device nodes',
    command: sh('ls -l /dev | tr -s " " | cut -d" " -f1,3-6,9-; ls /dev/shm /dev/pts'),
    normalize: (s) => s.replace(/^total.*\n/m, ''),
  },
  {
    name: 'masked paths',
    command: sh(
      'cat /proc/kcore | wc -c; ls /sys/firmware | wc -l; echo 1 > /proc/sys/kernel/domainname; echo $?; echo x > /proc/sysrq-trigger; echo $?',
    ),
  },
  {
    name: 'shm size',
    options: ['--shm-size', '2m'],
    command: sh('df -k /dev/shm | tail -1 | tr -s " " | cut -d" " -f2'),
  },
  {
    name: 'processes',
    // Once the shell's child runs sleep, and with nothing else of the shell's beside ps.
    command: sh(
      'sleep 60 & until ps -o comm | grep -q sleep; do :; done; list=$(ps -o comm); echo "$list" | sort; kill %1',
    ),
  },
  {
    name: 'memory limit is seen',
    options: ['--memory', '128m'],
    // Version 1 of control groups under runc on such a host, always version 2 under runsc-ts.
    command: sh(
      'cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max',
    ),
  },
  {
    name: 'no network',
    options: ['--network', 'none'],
    command: sh(
      'ip -o addr | grep -o "inet [0-9./]*"; echo x > /var/www/x; httpd -p 80 -h /var/www; wget -q -O - http://127.0.0.1/x',
    ),
  },
  {
    name: 'bridge network',
    command: sh(
      'ip -o -4 addr show eth0 | grep -o "inet 172.17.0.[0-9]*/16"; ip route | grep -c default; cat /sys/class/net/eth0/mtu',
    ),
    normalize: (s) => s.replace(/172\.17\.0\.\d+/, '172.17.0.N'),
  },
  {
    name: 'raw and packet sockets',
    command: sh(
      'ping -c 1 127.0.0.1 | grep received; ping -c 1 172.17.0.1 | grep received; arping -c 1 -I eth0 172.17.0.1 | grep -o "Received 1"',
    ),
  },
  {
    name: 'neither without the capability',
    options: ['--cap-drop', 'NET_RAW'],
    command: sh('ping -c 1 127.0.0.1 2>&1 | tail -1; arping -c 1 -I eth0 172.17.0.1 2>&1; echo $?'),
  },
  { name: 'the gateway answers', command: sh('wget -q -O - http://172.17.0.1:1/ 2>&1; echo $?') },
  { name: 'a terminal without one: stdin is not a tty', command: sh('test -t 0; echo $?') },
  { name: 'entry point', options: ['--entrypoint', '/bin/echo'], command: ['a', 'b'] },
  { name: 'stop signal and label', options: ['--stop-signal', 'USR1', '--label', 'a=b'], command: ['true'] },
];

/** Every third, unless all are asked for (`npm run test:full`): each takes seconds. */
const chosen = process.env['RUNSC_TS_FULL'] === undefined ? cases.filter((_, i) => i % 3 === 0) : cases;

function noDate(s: string): string {
  return s.replace(/[A-Z][a-z]{2} +\d+ \d\d:\d\d/, 'DATE');
}

describe.skipIf(lacking.length > 0)('docker run', () => {
  beforeAll(async () => {
    daemon = await startDockerd();
  }, 300_000);
  afterAll(async () => {
    await daemon?.stop();
  }, 120_000);

  test.each(chosen.map((c) => [c.name, c] as const))('%s', (_name, c) => {
    const under = (runtime: string): unknown => {
      mkdirSync(volume(), { recursive: true });
      writeFileSync(join(volume(), 'file'), 'of the host\n', { mode: 0o640 });
      writeFileSync(join(volume(), 'log'), '');
      const options = typeof c.options === 'function' ? c.options() : (c.options ?? []);
      const r = daemon.docker(['run', '--rm', '--runtime', runtime, ...options, 'busybox', ...c.command], {
        input: c.input ?? '',
      });
      const normalize = (text: string): string => (c.normalize ?? ((s) => s))(text);
      return {
        status: r.status,
        stdout: normalize(r.stdout),
        // The runtime's own texts have to lead Docker to the same status; they need not be equal.
        stderr: r.status !== null && r.status >= 125 ? '' : normalize(r.stderr),
        log: readFileSync(join(volume(), 'log'), 'utf8'),
      };
    };
    expect(under(process.env['RUNTIME'] ?? 'runsc-ts')).toEqual(under('runc'));
  });
});
