/** What config.test.ts runs: a script in the container, and what is changed in its config.json. */
import { chmodSync, chownSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Spec, TestBundle } from './bundle.ts';
import { deviceCases } from './device-cases.ts';
import { seccompCases } from './seccomp-cases.ts';

export interface Case {
  readonly script: string;
  readonly change?: (s: Spec, b: TestBundle) => void;
  /** What both print; left out: whatever runc prints. */
  readonly expected?: string;
  /** runc cannot do it on every machine. */
  readonly withoutRunc?: boolean;
  /** We warn where runc does not. */
  readonly warns?: boolean;
}

const caps = 'grep Cap /proc/self/status';
/** Mount point and options of mounts below a path, without what differs between kernels. */
const options = (path: string): string =>
  `grep ' ${path}' /proc/self/mountinfo | cut -d' ' -f5,6 | sed 's/,size=[^, ]*//'`;

export const cases: Record<string, Case> = {
  'user, groups, umask': {
    script: 'id; umask; grep -E "^(Uid|Gid|Groups)" /proc/self/status | tr -d "\\n"',
    change: (s) => (s.process.user = { uid: 1000, gid: 1000, additionalGids: [5, 7], umask: 0o27 }),
  },
  'capabilities of root': { script: caps },
  'capabilities of a user': {
    script: caps,
    change: (s) => (s.process.user = { uid: 1000, gid: 1000 }),
  },
  'ambient capabilities': {
    script: caps,
    change: (s) => {
      s.process.user = { uid: 1000, gid: 1000 };
      s.process.capabilities.inheritable = ['CAP_KILL', 'CAP_AUDIT_WRITE'];
      s.process.capabilities.ambient = ['CAP_KILL'];
    },
  },
  'no capabilities': { script: caps, change: (s) => delete s.process.capabilities },
  no_new_privs: { script: 'grep NoNewPrivs /proc/self/status' },
  'may get new privileges': {
    script: 'grep NoNewPrivs /proc/self/status',
    change: (s) => (s.process.noNewPrivileges = false),
  },
  'resource limits': {
    script: 'cat /proc/self/limits | grep -E "open files|core file|stack size|file locks"',
    change: (s) =>
      (s.process.rlimits = [
        { type: 'RLIMIT_NOFILE', soft: 100, hard: 200 },
        { type: 'RLIMIT_CORE', soft: 0, hard: 0 },
        { type: 'RLIMIT_STACK', soft: 1 << 20, hard: 1 << 22 },
        { type: 'RLIMIT_LOCKS', soft: 3, hard: 4 },
      ]),
  },
  'limits that are not given': {
    script: 'cat /proc/self/limits',
    change: (s) => delete s.process.rlimits,
  },
  'oom score': {
    script: 'cat /proc/self/oom_score_adj',
    change: (s) => (s.process.oomScoreAdj = 123),
    expected: '123\n',
  },
  'home of root': { script: 'echo $HOME' },
  'home of a user': {
    script: 'echo $HOME',
    change: (s) => (s.process.user = { uid: 1000, gid: 1000 }),
    expected: '/home/user\n',
  },
  'home of nobody in particular': {
    script: 'echo $HOME',
    change: (s) => (s.process.user = { uid: 4321, gid: 1000 }),
    expected: '/\n',
  },
  'home that is set': {
    script: 'echo $HOME',
    change: (s) => s.process.env.push('HOME=/elsewhere'),
    expected: '/elsewhere\n',
  },
  'working directory that does not exist': {
    script: 'pwd; stat -c "%a %u" /new/work',
    change: (s) => (s.process.cwd = '/new/work'),
    expected: '/new/work\n755 0\n',
  },
  'host name': { script: 'hostname; cat /proc/sys/kernel/hostname', expected: 'box\nbox\n' },
  'host name in UTF-8': {
    script: 'cat /proc/sys/kernel/hostname; hostname | wc -c',
    change: (s) => (s.hostname = 'bö x'),
    expected: 'bÃ¶ x\n6\n',
  },
  ...deviceCases,
  'read-only root': {
    script:
      'touch /x 2>&1; touch /dev/shm/x && mkdir /dev/y && echo ok; grep " / / " /proc/self/mountinfo | cut -d" " -f6 | cut -d, -f1',
    change: (s) => (s.root.readonly = true),
    expected: 'touch: /x: Read-only file system\nok\nro\n',
    withoutRunc: true,
  },
  'read-only root with new mount points': {
    script: 'cat /new/file; stat -c "%F" /new/dir; touch /new/x 2>&1',
    change: (s, b) => {
      s.root.readonly = true;
      writeFileSync(join(b.dir, 'a'), 'text\n');
      s.mounts.push({ destination: '/new/file', source: join(b.dir, 'a'), options: ['bind'] });
      s.mounts.push({ destination: '/new/dir', type: 'tmpfs', source: 'tmpfs' });
    },
    expected: 'text\ndirectory\ntouch: /new/x: Read-only file system\n',
  },
  'masked paths': {
    script:
      'ls /secret | wc -l; cat /file; wc -c < /file; touch /secret/x 2>&1; cat /link-target; ls /proc/asound 2>&1 | wc -l',
    change: (s, b) => {
      mkdirSync(join(b.rootfs, 'secret'), { recursive: true });
      writeFileSync(join(b.rootfs, 'secret/inside'), 'secret');
      writeFileSync(join(b.rootfs, 'file'), 'secret');
      writeFileSync(join(b.rootfs, 'link-target'), 'secret');
      symlinkSync('link-target', join(b.rootfs, 'link'));
      s.linux.maskedPaths = ['/secret', '/file', '/link', '/missing', '/proc/asound'];
    },
  },
  'masked directories are empty file systems like any other': {
    script: 'grep " /etc " /proc/self/mountinfo | sed "s/.* - //"; stat -f -c "%T %i" /etc | cut -d" " -f1',
    change: (s) => (s.linux.maskedPaths = ['/etc']),
  },
  'relative paths to mask and to keep': {
    script: 'cat secret/inside 2>/dev/null; touch /tmp/x 2>/dev/null; echo $?',
    change: (s, b) => {
      mkdirSync(join(b.rootfs, 'secret'), { recursive: true });
      writeFileSync(join(b.rootfs, 'secret/inside'), 'secret');
      s.linux.maskedPaths = ['secret'];
      s.linux.readonlyPaths = ['tmp'];
    },
    expected: '1\n',
    warns: true,
  },
  'paths that lead through the process itself': {
    script: 'pwd; cat /etc/mtab > /dev/null',
    change: (s, b) => {
      rmSync(join(b.rootfs, 'etc/mtab'), { force: true });
      symlinkSync('/proc/self/mounts', join(b.rootfs, 'etc/mtab'));
      s.linux.maskedPaths = ['/proc/self/x', '/proc/thread-self/x', '/etc/mtab'];
      s.linux.readonlyPaths = ['/proc/self/x', '/proc/self/fdinfo'];
      s.process.cwd = '/proc/self';
    },
    expected: '/proc/1\n',
  },
  'the whole root as a read-only path': {
    script: 'touch /x 2>&1; touch /dev/x && echo rw; stat -c "%a %u" /hidden; ls /hidden',
    change: (s, b) => {
      mkdirSync(join(b.rootfs, 'hidden/inside'), { recursive: true });
      chmodSync(join(b.rootfs, 'hidden'), 0o700);
      s.linux.readonlyPaths = ['/'];
      s.linux.maskedPaths = ['/hidden'];
    },
  },
  'read-only paths': {
    script:
      'touch /keep/x 2>&1; echo x > /keep/file; cat /keep/file; touch /keep/below/x && echo rw; echo x > /proc/sys/kernel/domainname; true',
    change: (s, b) => {
      mkdirSync(join(b.rootfs, 'keep/below'), { recursive: true });
      writeFileSync(join(b.rootfs, 'keep/file'), 'text\n');
      s.mounts.push({ destination: '/keep/below', type: 'tmpfs', source: 'tmpfs' });
      s.linux.readonlyPaths = ['/keep', '/proc/sys', '/missing'];
    },
  },
  'mount options': {
    script: options('/m'),
    change: (s) => {
      const all = [
        ['ro'], ['nosuid', 'nodev', 'noexec'], ['noatime'], ['nodiratime', 'relatime'], ['strictatime'], ['sync', 'dirsync'],
        ['ro', 'rw'], ['nosuid', 'suid', 'mode=700'], ['nosymfollow'], ['size=1m', 'nr_inodes=10', 'uid=7', 'gid=8', 'mode=1750'],
      ]; // prettier-ignore
      all.forEach((o, i) =>
        s.mounts.push({ destination: `/m${i}`, type: 'tmpfs', source: 'tmpfs', options: o }),
      );
    },
  },
  'limits of tmpfs': {
    script:
      'stat -c "%a %u %g" /t; for i in 1 2 3 4 5 6 7 8 9 10; do touch /t/$i; done 2>&1 | wc -l; dd if=/dev/zero of=/t/1 bs=4k count=10 2>&1 | grep -c "No space"',
    change: (s) =>
      s.mounts.push({
        destination: '/t',
        type: 'tmpfs',
        source: 'tmpfs',
        options: ['size=8k', 'nr_inodes=6', 'uid=7', 'gid=8', 'mode=1750'],
      }),
  },
  'tmpfs with the mode of what they cover': {
    script: 'stat -c "%a %u %g" /d /e /new; touch /d/file; stat -c %a /dangling/below /tgt/y',
    change: (s, b) => {
      mkdirSync(join(b.rootfs, 'd'), { recursive: true });
      chmodSync(join(b.rootfs, 'd'), 0o1751);
      chownSync(join(b.rootfs, 'd'), 5, 6);
      mkdirSync(join(b.rootfs, 'e'), { recursive: true });
      chmodSync(join(b.rootfs, 'e'), 0o700);
      rmSync(join(b.rootfs, 'dangling'), { force: true });
      symlinkSync('tgt/y', join(b.rootfs, 'dangling'));
      for (const destination of ['/d', '/e', '/new', '/dangling/below']) {
        s.mounts.push({ destination, type: 'tmpfs', source: 'tmpfs' });
      }
    },
  },
  'an overlay of directories of the host': {
    script: 'cat /o/both /o/low; ls /o; echo x > /o/low || echo $?',
    change: (s, b) => {
      for (const layer of ['top', 'bottom']) {
        mkdirSync(join(b.dir, layer), { recursive: true });
        writeFileSync(join(b.dir, layer, 'both'), `${layer}\n`);
      }
      writeFileSync(join(b.dir, 'bottom/low'), 'low\n');
      const lowerdir = `lowerdir=${join(b.dir, 'top')}:${join(b.dir, 'bottom')}`;
      s.mounts.push({
        destination: '/o',
        type: 'overlay',
        source: 'overlay',
        options: [lowerdir, 'private', 'ro'],
      });
    },
  },
  'files that an overlay of the host copies up': {
    script:
      'cd /o; echo b > 1; cat 1; cat 2; exec 3< 2; echo b >> 2; cat <&3; cat 2; ls -l > /dev/null; exec 4>> 3; echo b >> 3; echo c >&4; cat 3; chmod 600 4; echo b >> 4; cat 4; ln 5 6; echo b >> 6; cat 5; mv 7 8; echo b >> 8; cat 8; stat -c "%a %h %n" *',
    change: (s, b) => {
      const [lower, upper, work] = ['lower', 'upper', 'work'].map((name) => join(b.dir, name));
      for (const dir of [lower!, upper!, work!]) {
        rmSync(dir, { recursive: true, force: true });
        mkdirSync(dir);
      }
      for (const name of '123457') writeFileSync(join(lower!, name), 'a\n');
      const options = [`lowerdir=${lower}`, `upperdir=${upper}`, `workdir=${work}`];
      s.mounts.push({ destination: '/o', type: 'overlay', source: 'overlay', options });
    },
  },
  'a file system in memory without limits': {
    script: 'echo x > /r/f; cat /r/f; grep -o "/r ramfs" /proc/mounts',
    change: (s) => s.mounts.push({ destination: '/r', type: 'ramfs', source: 'ramfs' }),
  },
  'file systems of a kernel without debugging, tracing and security modules': {
    script:
      'cd /m; for t in *; do stat -f -c "$t %t" $t; stat -c %a $t; done; mkdir debugfs/x 2>/dev/null || echo refused; ls -A bpf pstore',
    change: (s) => {
      for (const type of ['debugfs', 'tracefs', 'securityfs', 'bpf', 'fusectl', 'pstore']) {
        s.mounts.push({ destination: `/m/${type}`, type, source: type, options: ['nosuid', 'noexec'] });
      }
    },
    expected:
      'bpf cafe4a11\n1777\ndebugfs 64626720\n700\nfusectl 65735543\n500\npstore 6165676c\n750\nsecurityfs 73636673\n755\n' +
      'tracefs 74726163\n700\nrefused\nbpf:\n\npstore:\n',
    // Not every kernel has all of them.
    withoutRunc: true,
  },
  'places for mounts in /sys, and binds of what the host has there': {
    script:
      'cat /sys/kernel/debug/file /sys/fs/bpf/file; stat -f -c %t /host/proc /host/sys; grep -c MemTotal /host/proc/meminfo; ls /host/sys',
    change: (s, b) => {
      writeFileSync(join(b.dir, 'file'), 'seen\n');
      const bind = (source: string, destination: string): void =>
        void s.mounts.push({ destination, type: 'bind', source, options: ['rbind', 'rprivate', 'ro'] });
      for (const at of ['/sys/kernel/debug', '/sys/fs/bpf']) bind(b.dir, at);
      for (const at of ['/proc', '/sys']) bind(at, `/host${at}`);
    },
  },
  'mounts where /dev has its links': {
    script: 'cat /dev/stdin /dev/fd/file; readlink /dev/stdin /dev/stdout /dev/fd; stat -c %F /dev/fd',
    change: (s, b) => {
      writeFileSync(join(b.dir, 'file'), 'text\n');
      s.mounts.push(
        { destination: '/dev/stdin', type: 'bind', source: join(b.dir, 'file'), options: ['bind'] },
        { destination: '/dev/fd/file', type: 'bind', source: join(b.dir, 'file'), options: ['bind'] },
      );
    },
  },
  'binds of files and directories': {
    script:
      'cat /etc/hosts /new/file; ls /dir; touch /dir/x 2>&1; echo changed > /rw/b; stat -c %F /new/file /dir; grep " /dir " /proc/self/mountinfo | cut -d" " -f5,6 | cut -d, -f1',
    change: (s, b) => {
      mkdirSync(join(b.dir, 'src'), { recursive: true });
      writeFileSync(join(b.dir, 'src/a'), 'a\n');
      writeFileSync(join(b.dir, 'src/b'), 'b\n');
      s.mounts.push(
        { destination: '/etc/hosts', type: 'bind', source: join(b.dir, 'src/a'), options: ['rbind', 'ro'] },
        { destination: '/new/file', source: 'src/a', options: ['bind'] },
        { destination: '/dir', type: 'none', source: join(b.dir, 'src'), options: ['rbind', 'ro'] },
        { destination: '/rw', source: join(b.dir, 'src'), options: ['bind'] },
      );
    },
  },
  tmpcopyup: {
    script:
      'cat /data/sub/file; stat -c "%a %u" /data/sub /data/sub/file; touch /data/new; ls /data; readlink /data/link; stat -c "%a %u" /data /copied /made',
    change: (s, b) => {
      mkdirSync(join(b.rootfs, 'data/sub'), { recursive: true, mode: 0o750 });
      writeFileSync(join(b.rootfs, 'data/sub/file'), 'text\n', { mode: 0o640 });
      symlinkSync('sub/file', join(b.rootfs, 'data/link'));
      s.mounts.push({ destination: '/data', type: 'tmpfs', source: 'tmpfs', options: ['tmpcopyup'] });
      // It has the mode of what it covers, if there was anything, but not its owner.
      mkdirSync(join(b.rootfs, 'copied'), { mode: 0o711 });
      chownSync(join(b.rootfs, 'copied'), 5, 5);
      for (const destination of ['/copied', '/made']) {
        s.mounts.push({ destination, type: 'tmpfs', source: 'tmpfs', options: ['tmpcopyup'] });
      }
    },
    expected: 'text\n750 0\n640 0\nlink\nnew\nsub\nsub/file\n750 0\n711 0\n1777 0\n',
  },
  'mounts in their order, with types and sources': {
    script:
      // Without the root, whose type is that of the folder of the test.
      "awk '$5 != \"/\"' /proc/self/mountinfo > /tmp/a; cut -d' ' -f5 /tmp/a; sed 's/.* - / - /' /tmp/a | grep -E -o -e '- (proc|tmpfs|devpts|mqueue|sysfs) [a-z]*'",
  },
  propagation: {
    script:
      "grep -E ' /(m-|d )' /proc/self/mountinfo | sed -E 's/ - .*//' | cut -d' ' -f5,7- | sed 's/ *$//'",
    change: (s, b) => {
      for (const kind of [
        'shared',
        'slave',
        'private',
        'unbindable',
        'rshared',
        'rslave',
        'rprivate',
        'runbindable',
      ])
        s.mounts.push({ destination: `/m-${kind}`, type: 'tmpfs', source: 'tmpfs', options: [kind] });
      s.mounts.push({ destination: '/d', source: b.dir, options: ['rbind', 'rprivate'] });
    },
    withoutRunc: true,
    expected:
      '/m-shared shared:1\n/m-slave\n/m-private\n/m-unbindable unbindable\n/m-rshared shared:2\n/m-rslave\n/m-rprivate\n/m-runbindable unbindable\n/d\n',
  },
  ...Object.fromEntries(
    // runc of Debian 12 propagates nothing in a shared root, and cannot start a container with an unbindable one.
    Object.entries({
      shared: 'example\n',
      slave: '',
      private: '',
      unbindable: 'mount: mounting / on /target failed: Invalid argument\n',
    }).map(([kind, expected]): [string, Case] => [
      `${kind} root`,
      {
        script:
          'mkdir /target /mnt /test; touch /test/example; mount --rbind / /target || exit 0; mount --rbind /test /mnt; ls /target/mnt',
        change: (s) => {
          s.linux.rootfsPropagation = kind;
          const { capabilities } = s.process;
          for (const set of ['bounding', 'effective', 'permitted']) capabilities[set] = ['CAP_SYS_ADMIN'];
        },
        expected,
        withoutRunc: true,
      },
    ]),
  ),
  'recursive options': {
    script:
      "grep ' /a' /proc/self/mountinfo | cut -d' ' -f5,6 | sed 's/,size=[^, ]*//'; touch /a/b/x 2>&1 || true",
    change: (s) => {
      s.mounts.push({ destination: '/a', type: 'tmpfs', source: 'tmpfs', options: ['noexec'] });
      s.mounts.push({ destination: '/a/b', type: 'tmpfs', source: 'tmpfs' });
      s.mounts.push({
        destination: '/a',
        type: 'none',
        options: ['remount', 'bind', 'rro', 'rnosuid', 'rnoatime'],
      });
    },
    expected: '/a ro,nosuid,noatime\n/a/b ro,nosuid,noatime\ntouch: /a/b/x: Read-only file system\n',
    withoutRunc: true,
  },
  sysctl: {
    script:
      'cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax /proc/sys/kernel/sem /proc/sys/fs/mqueue/msg_max /proc/sys/net/ipv4/ping_group_range /proc/sys/kernel/domainname',
    change: (s) =>
      (s.linux.sysctl = {
        'net.ipv4.ip_forward': '1',
        'kernel.msgmax': '4096',
        'kernel.sem': '100 200 30 40',
        'fs.mqueue.msg_max': '20',
        'net.ipv4.ping_group_range': '0 2147483647',
        'kernel.domainname': 'example.org',
      }),
  },
  'a sysctl that is set to nothing': {
    script: 'cat /proc/sys/kernel/msgmax',
    change: (s) => (s.linux.sysctl = { 'kernel.msgmax': '' }),
  },
  'a variable that is set twice': {
    script: '',
    change: (s) => {
      s.process.args = ['cat', '/proc/self/environ'];
      s.process.env = ['PATH=/bin', 'A=1', 'B=', 'A=2', 'C=a=b'];
    },
  },
  'file systems that are read-only': {
    script: options('/(m|p) '),
    change: (s) =>
      s.mounts.push(
        { destination: '/p', type: 'proc', source: 'proc', options: ['ro'] },
        { destination: '/m', type: 'mqueue', source: 'mqueue', options: ['ro'] },
      ),
  },
  ...seccompCases,
  personality: {
    script: 'uname -m',
    change: (s) => (s.linux.personality = { domain: 'LINUX32' }),
    expected: 'i686\n',
    withoutRunc: true,
  },
  'mapped ids': {
    script:
      'cat /proc/self/uid_map /proc/self/gid_map | tr -s " "; stat -c "%u %g" /etc /owned /other; touch /made; chown 5:6 /made; stat -c "%u %g" /made; chown 5000 /made 2>&1; id -u',
    change: (s, b) => {
      chownSync(join(b.rootfs, 'etc'), 1000, 1000);
      for (const [name, id] of [
        ['owned', 1001],
        ['other', 77],
      ] as const) {
        writeFileSync(join(b.rootfs, name), '');
        chownSync(join(b.rootfs, name), id, id);
      }
      chownSync(b.rootfs, 1000, 1000);
      for (const set of ['bounding', 'effective', 'permitted']) s.process.capabilities[set] = ['CAP_CHOWN'];
      s.linux.namespaces.push({ type: 'user' });
      s.linux.uidMappings = [{ containerID: 0, hostID: 1000, size: 2000 }];
      s.linux.gidMappings = [{ containerID: 0, hostID: 1000, size: 3000 }];
    },
    expected: ' 0 1000 2000\n 0 1000 3000\n0 0\n1 1\n65534 65534\n5 6\nchown: /made: Invalid argument\n0\n',
    withoutRunc: true,
  },
  'a mount with ids of its own': {
    script: 'stat -c "%u %g" /mapped /mapped/f /plain/f; touch /mapped/made /plain/made; chown 7000:0 /mapped/made; stat -c "%u %g" /mapped/made /plain/made', // prettier-ignore
    change: (s, b) => {
      const shared = join(b.dir, 'shared');
      mkdirSync(shared, { recursive: true });
      writeFileSync(join(shared, 'f'), '');
      chownSync(shared, 100, 100);
      chownSync(join(shared, 'f'), 105, 106);
      for (const set of ['bounding', 'effective', 'permitted']) {
        s.process.capabilities[set] = ['CAP_CHOWN', 'CAP_DAC_OVERRIDE'];
      }
      const bind = { type: 'bind', source: shared };
      const uidMappings = [{ containerID: 100, hostID: 0, size: 10 }, { containerID: 300, hostID: 7000, size: 1 }]; // prettier-ignore
      const gidMappings = [{ containerID: 100, hostID: 0, size: 10 }];
      s.mounts.push(
        { ...bind, destination: '/mapped', options: ['bind', 'idmap'], uidMappings, gidMappings },
        { ...bind, destination: '/plain', options: ['bind'] },
      );
    },
    expected: '0 0\n5 6\n105 106\n7000 0\n300 100\n',
    withoutRunc: true,
  },
  'clocks of a time namespace': {
    script:
      'cat /proc/self/timens_offsets; [ $(cut -d. -f1 /proc/uptime) -gt 2000000000 ] && echo boottime; [ $(($(date +%s) - $(sed -n "s/btime //p" /proc/stat))) -gt 2000000000 ] && echo since; [ $(date +%s) -lt 4000000000 ] && echo "not realtime"',
    change: (s) => {
      s.linux.namespaces.push({ type: 'time' });
      s.linux.timeOffsets = {
        monotonic: { secs: 1_000_000_000, nanosecs: 5 },
        boottime: { secs: 2_000_000_000 },
      };
    },
    expected:
      'monotonic  1000000000         5\nboottime   2000000000         0\nboottime\nsince\nnot realtime\n',
    withoutRunc: true,
  },
  'nice and I/O priority': {
    script: 'cut -d" " -f 19,41 /proc/self/stat',
    change: (s) => (s.process.scheduler = { policy: 'SCHED_BATCH', nice: 7 }),
    expected: '7 3\n',
    withoutRunc: true,
  },
};
