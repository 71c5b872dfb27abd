/** Stories of pods and their containers, told in the words of a kubelet's calls. What they return has to be the same for every runtime. */
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { STDERR, STDIN, STDOUT } from './cri-stream.ts';
import { eventually, failure, type Node, type Pod, type PodContainer } from './pod.ts';

const SERVE = 'echo page > /var/www/index.html; exec httpd -f -p 8080 -h /var/www';
const FETCH = 'until wget -q -O - http://127.0.0.1:8080/; do sleep 0.1; done 2>/dev/null';

/** runc shows version 1 of control groups on such a host, runsc-ts always version 2. */
const group = (v2: string, v1: string): string =>
  `cd /sys/fs/cgroup; if [ -e ${v2} ]; then cut -d" " -f1 ${v2}; else cat ${v1}; fi`;
const MEMORY_LIMIT = group('memory.max', 'memory/memory.limit_in_bytes');
const CPU_QUOTA = group('cpu.max', 'cpu/cpu.cfs_quota_us');

interface Figures {
  cpu: { usage_core_nano_seconds: { value: number } };
  memory: { usage_bytes: { value: number }; working_set_bytes: { value: number } };
}

const python = (script: string): string => `timeout 60 /usr/bin/python3 -c '${script}'`;
const connecting = `import socket, time
while True:
  try:
    s = socket.socket(socket.AF_UNIX)
    s.connect("/vol/socket")
    break
  except OSError: time.sleep(0.1)
s.send(b"question")
print(s.recv(99))`;
const locking = `import fcntl
f = open("/vol/records", "a+")
try:
  fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
  print("got it")
except OSError as e: print(e.errno)
open("/vol/release", "w")
fcntl.lockf(f, fcntl.LOCK_EX)
print("then")`;
const mapping = `import mmap, os, time
f = os.open("/vol/map", os.O_RDWR | os.O_CREAT)
os.ftruncate(f, 4096)
m = mmap.mmap(f, 4096)
`;
/** Named semaphores are futexes in files of /dev/shm. */
const semaphores = `import ctypes, os
c = ctypes.CDLL(None)
c.sem_open.restype = ctypes.c_void_p
up, down = [ctypes.c_void_p(c.sem_open(name, os.O_CREAT, 0o666, 0)) for name in (b"/up", b"/down")]
`;
const watching = `import ctypes, os
c = ctypes.CDLL(None)
os.mkdir("/vol/dir")
fd = c.inotify_init1(0)
c.inotify_add_watch(fd, b"/vol/dir", 0x100)
open("/vol/watching", "w")
event = os.read(fd, 4096)
print(event[4:8], event[16:].rstrip(bytes(1)))`;
const waitFor = (file: string): string => `until [ -e ${file} ]; do sleep 0.1; done`;

/** What one container does with a volume, and what another one does at the same time. */
const VOLUME_TALKS: readonly (readonly [string, string])[] = [
  [
    python(
      'import socket; s = socket.socket(socket.AF_UNIX); s.bind("/vol/socket"); s.listen(); c, _ = s.accept(); print(c.recv(99)); c.send(b"answer")',
    ),
    python(connecting),
  ],
  [
    `/usr/bin/flock /vol/lock sh -c "touch /vol/held; ${waitFor('/vol/go')}"`,
    `${waitFor('/vol/held')}; /usr/bin/flock -n /vol/lock true; echo $?; touch /vol/go; /usr/bin/flock /vol/lock true; echo $?`,
  ],
  [
    `${python('import fcntl, os, time; f = open("/vol/records", "a+"); fcntl.lockf(f, fcntl.LOCK_EX); open("/vol/locked", "w")\nwhile not os.path.exists("/vol/release"): time.sleep(0.1)')}`,
    `${waitFor('/vol/locked')}; ${python(locking)}`,
  ],
  [python(watching), `${waitFor('/vol/watching')}; touch /vol/dir/made`],
  ['mkfifo /vol/pipe; cat /vol/pipe', `${waitFor('/vol/pipe')}; echo through > /vol/pipe`],
  [
    python(`${mapping}while m[0] == 0: time.sleep(0.1)\nprint(m[:5]); m[100:103] = b"yes"`),
    python(`${mapping}m[1:5] = b"ello"; m[0] = 104\nwhile m[100] == 0: time.sleep(0.1)\nprint(m[100:103])`),
  ],
  [
    python(`${semaphores}print(c.sem_wait(up), c.sem_post(down))`),
    python(`${semaphores}print(c.sem_post(up), c.sem_wait(down))`),
  ],
];

/** Stories of containers in a pod that is there. */
export const inPod: Readonly<Record<string, (p: Pod) => Promise<unknown[]>>> = {
  'containers share the network and the host name, and have their own root and processes': async (p) => {
    const server = await p.run(SERVE);
    const client = await p.run(
      `${FETCH}; hostname; ls /var/www; ps -o args | grep -c "[h]ttpd"; ls /sys/class/net`,
    );
    return [(await client.ended()).exit_code, client.log(), (await server.status()).state];
  },
  'shared memory of the pod': async (p) => {
    const a = await p.run('echo from a > /dev/shm/a; sleep 1000');
    const b = await p.output('until cat /dev/shm/a; do sleep 0.1; done 2>/dev/null');
    await a.remove();
    return [b];
  },
  'a volume of two containers: sockets, locks, pipes, mappings, semaphores': async (p) => {
    // Python and flock are the node's.
    const programs = ['/usr', '/lib', '/lib64'].map((dir) => ({
      container_path: dir,
      host_path: dir,
      readonly: true,
    }));
    const volume = { container_path: '/vol', host_path: mkdtempSync(join(p.node.daemon.dir, 'volume-')) };
    const fields = { mounts: [volume, ...programs] };
    const [a, b] = [await p.run('sleep 1000', { fields }), await p.run('sleep 1000', { fields })];
    const told: unknown[] = [];
    for (const [one, other] of VOLUME_TALKS) told.push(await Promise.all([a.sh(one), b.sh(other)]));
    return told;
  },
  'exit codes and reasons': async (p) => {
    const told: unknown[] = [];
    for (const script of ['exit 0', 'exit 7', 'nosuch']) {
      const c = await p.run(script);
      const { state, exit_code, reason, message } = await c.ended();
      told.push([state, exit_code, reason, message]);
    }
    const c = await p.create(['nosuch']);
    told.push(await failure(c.start()));
    const { state, exit_code, reason } = await c.status();
    return [...told, state, exit_code, reason];
  },
  logs: async (p) => {
    const long = 'head -c 40000 /dev/zero | tr "\\0" x; echo end';
    return [
      await p.output('for i in 1 2 3; do echo out $i; echo error $i >&2; done; printf unfinished'),
      await p.output(long),
    ];
  },
  'a log that is reopened': async (p) => {
    const c = await p.run('echo one; until [ -e /go ]; do sleep 0.1; done; echo two; sleep 1000');
    await eventually(async () => c.log()['stdout']!.length === 1);
    writeFileSync(c.logFile, '');
    await c.reopenLog();
    await c.sh('touch /go');
    await eventually(async () => c.log()['stdout']!.includes('F two'));
    return [c.log()];
  },
  'ExecSync: output, status, time': async (p) => {
    const c = await p.run('sleep 1000', {
      fields: { envs: [{ key: 'A', value: '1' }], working_dir: '/tmp' },
    });
    const told = [
      await c.sh('echo out $A; pwd; echo error >&2; exit 3'),
      await c.sh('kill -9 $$'),
      await failure(c.exec(['nosuch'])),
      await failure(c.exec(['/etc/plain'])),
      await failure(c.exec(['sleep', '54321'], 1)),
    ];
    // Nothing of it goes on.
    await eventually(async () => !(await c.sh('ps -o args'))[1].includes('sleep 54321'));
    const many = await Promise.all(Array.from({ length: 5 }, (_, i) => c.sh(`echo ${i}; exit ${i}`)));
    return [...told, many];
  },
  'stopping: SIGTERM handled, and not': async (p) => {
    const polite = await p.run('trap "echo bye; exit 5" TERM; touch /ready; while :; do sleep 0.1; done');
    await eventually(async () => (await polite.sh('test -e /ready'))[0] === 0);
    await polite.stop(60);
    const stubborn = await p.run('trap "" TERM; while :; do sleep 0.1; done');
    await stubborn.stop(1);
    await stubborn.stop(1); // again
    const [a, b] = [await polite.status(), await stubborn.status()];
    return [a.exit_code, a.reason, polite.log(), b.exit_code, b.reason];
  },
  'removing a running container, and one that was never started': async (p) => {
    const c = await p.run('sleep 1000');
    await c.remove();
    const d = await p.create(['sleep', '1000']);
    const { state } = await d.status();
    await d.remove();
    await d.remove();
    return [await failure(c.status()), state, await failure(d.start())];
  },
  'environment, directory, arguments, files': async (p) => {
    const dir = mkdtempSync(join(p.node.daemon.dir, 'volume-'));
    writeFileSync(join(dir, 'file'), 'of the host\n');
    const fields = {
      args: [
        'echo $0 $A; pwd; cat /mnt/file /etc/one; echo new > /mnt/new; touch /ro/x; tail -n 1 /etc/resolv.conf',
        'zero',
      ],
      envs: [{ key: 'A', value: 'b c' }],
      working_dir: '/not/there/yet',
      mounts: [
        { container_path: '/mnt', host_path: dir },
        { container_path: '/ro', host_path: dir, readonly: true },
        { container_path: '/etc/one', host_path: join(dir, 'file'), readonly: true },
      ],
    };
    const c = await p.create(['/bin/sh', '-c'], { fields });
    await c.start();
    return [(await c.ended()).exit_code, c.log(), readFileSync(join(dir, 'new'), 'utf8')];
  },
  users: async (p) => {
    const ids = 'id; echo $HOME; touch /root/x; echo >&2; touch /home/user/x';
    return [
      await p.output(ids, { security: { run_as_user: { value: 1000 } } }),
      await p.output(ids, {
        security: {
          run_as_user: { value: 1234 },
          run_as_group: { value: 2000 },
          supplemental_groups: [3000, 4000],
        },
      }),
      await p.output(ids, { security: { run_as_username: 'user' } }),
    ];
  },
  'capabilities, privileges, read-only root': async (p) => {
    const status = 'grep -E "^(Cap|NoNewPrivs|Seccomp:)" /proc/self/status';
    return [
      await p.output(status),
      await p.output(status, {
        security: {
          capabilities: {
            add_capabilities: ['NET_ADMIN', 'SYS_TIME'],
            drop_capabilities: ['CHOWN', 'CAP_KILL'],
          },
          no_new_privs: true,
        },
      }),
      await p.output(`${status}; chown 1 /tmp`, {
        security: { capabilities: { drop_capabilities: ['ALL'] }, run_as_user: { value: 1000 } },
      }),
      await p.output('touch /x; touch /tmp/x; touch /dev/shm/x && echo shm', {
        security: { readonly_rootfs: true },
      }),
    ];
  },
  'seccomp, masked paths, read-only paths': async (p) => {
    const profile = join(p.node.daemon.dir, 'profile.json');
    const rules = [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 95 }];
    writeFileSync(profile, JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: rules }));
    return [
      await p.output('mkdir /x; grep Seccomp: /proc/self/status', {
        security: { seccomp: { profile_type: 'Localhost', localhost_ref: profile } },
      }),
      await p.output('grep Seccomp: /proc/self/status; mkdir /x && echo made; unshare -m true', {
        security: { seccomp: { profile_type: 'RuntimeDefault' } },
      }),
      await p.output('grep Seccomp: /proc/self/status', {
        security: { seccomp: { profile_type: 'Unconfined' } },
      }),
      await p.output('cat /etc/passwd; ls /home; touch /var/x; touch /tmp/x && echo tmp', {
        security: { masked_paths: ['/etc/passwd', '/home', '/nosuch'], readonly_paths: ['/var', '/nosuch'] },
      }),
    ];
  },
  devices: async (p) => [
    await p.output('ls -l /dev/other; echo x > /dev/other; cat /dev/other', {
      fields: { devices: [{ container_path: '/dev/other', host_path: '/dev/null', permissions: 'rw' }] },
    }),
  ],
  'limits, and new ones': async (p) => {
    const c = await p.run('sleep 1000', {
      resources: {
        memory_limit_in_bytes: 128 << 20,
        cpu_period: 100_000,
        cpu_quota: 50_000,
        cpu_shares: 512,
      },
    });
    const look = async (): Promise<unknown[]> => [
      await c.sh(MEMORY_LIMIT),
      await c.sh(CPU_QUOTA),
      ...['memory/memory.limit_in_bytes', 'cpu/cpu.cfs_quota_us', 'cpu/cpu.shares'].map((file) =>
        readGroup(p, c, file),
      ),
    ];
    const before = await look();
    await c.update({
      memory_limit_in_bytes: 96 << 20,
      cpu_period: 100_000,
      cpu_quota: 80_000,
      cpu_shares: 256,
    });
    return [before, await look(), (await c.status()).state];
  },
  'out of memory': async (p) => {
    // Its first process lives on: only so is it certain that containerd hears of it.
    const script = 'tail /dev/zero; echo status $?; sleep 1000';
    const c = await p.run(script, {
      resources: { memory_limit_in_bytes: 48 << 20, memory_swap_limit_in_bytes: 48 << 20 },
    });
    await eventually(async () => (await c.status()).reason === 'OOMKilled');
    await eventually(async () => c.log()['stdout']!.length > 0);
    await c.stop(0);
    const { exit_code, reason } = await c.status();
    return [c.log()['stdout'], exit_code, reason];
  },
  'figures of containers': async (p) => {
    const big = await p.run(
      'awk \'BEGIN { s = "x"; for (i = 0; i < 25; i++) s = s s; system("touch /ready; sleep 1000") }\'',
    );
    const small = await p.run('sleep 1000');
    await eventually(async () => (await big.sh('test -e /ready'))[0] === 0);
    const a = await big.stats<Figures>();
    const b = await small.stats<Figures>();
    await small.sh('i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done');
    const c = await small.stats<Figures>();
    const cpu = (f: Figures): number => f.cpu.usage_core_nano_seconds.value;
    const memory = (f: Figures): number => f.memory.usage_bytes.value;
    return [
      memory(a) > 32 << 20,
      memory(a) < 256 << 20,
      memory(b) > 0,
      memory(b) < 16 << 20,
      cpu(c) > cpu(b),
    ];
  },
  'pids of another container': async (p) => {
    const target = await p.run('exec sleep 54321');
    const debug = await p.run('sleep 1000', { pids: 'TARGET', target: target.id });
    await eventually(async () => (await debug.sh('ps -o args'))[1].includes('sleep 54321'));
    const seen = (
      await debug.sh('ps -o pid,args | grep "[s]leep 54321"; ls /var/www; cat /proc/1/root/etc/plain')
    )[1];
    await debug.remove();
    return [seen, (await target.status()).state];
  },
  'Exec as a stream, with and without a terminal': async (p) => {
    const c = await p.run('sleep 1000');
    const script = 'read x; echo got $x; echo error >&2; exit 3';
    const plain = await c.execStream(['/bin/sh', '-c', script], false);
    plain.send(STDIN, 'a line\n');
    const onTerminal =
      'tty; until [ "$(stty size 2>/dev/null)" = "33 99" ]; do sleep 0.1; done; echo resized; read x; exit 4';
    const terminal = await c.execStream(['/bin/sh', '-c', onTerminal], true);
    await eventually(() =>
      Promise.resolve(terminal.text(STDOUT).includes('tty') || terminal.text(STDOUT).includes('/dev')),
    );
    terminal.resize(99, 33);
    await eventually(() => Promise.resolve(terminal.text(STDOUT).includes('resized')));
    terminal.send(STDIN, 'x\n');
    const missing = await c.execStream(['nosuch'], false);
    return [await plain.all(), await terminal.all(), await missing.all()];
  },
  'Attach, with and without a terminal': async (p) => {
    const script = 'read x; echo got $x; echo error >&2; read x; exit 6';
    const told: unknown[] = [];
    for (const tty of [false, true]) {
      const c = await p.run(script, { fields: { stdin: true, stdin_once: true, tty } });
      const stream = await c.attach(tty);
      stream.send(STDIN, 'a line\n');
      await eventually(() =>
        Promise.resolve(
          (stream.text(STDOUT) + stream.text(STDERR)).includes('error') &&
            stream.text(STDOUT).includes('got a line'),
        ),
      );
      stream.send(STDIN, 'end\n');
      told.push((await c.ended()).exit_code, await stream.all(), c.log());
    }
    return told;
  },
  'a port that is forwarded': async (p) => {
    const c = await p.run(SERVE);
    await eventually(async () => (await c.sh('wget -q -O - http://127.0.0.1:8080/'))[0] === 0);
    const stream = await p.forward(8080);
    stream.send(0, 'GET / HTTP/1.0\r\n\r\n');
    await eventually(() => Promise.resolve(stream.text(0).includes('page\n')));
    stream.close();
    return [/^(?:.|\n)*?(HTTP\/1\.\d 200 OK)/.exec(stream.text(0))?.[1]];
  },
  'several at once': async (p) => {
    const all = await Promise.all(Array.from({ length: 4 }, (_, i) => p.run(`echo ${i}; exit ${i}`)));
    const ends = await Promise.all(all.map((c) => c.ended()));
    return [ends.map((e) => e.exit_code), all.map((c) => c.log())];
  },
};

/** A file of the container's control group on the host. */
function readGroup(p: Pod, c: PodContainer, file: string): string {
  const [controller, name] = file.split('/') as [string, string];
  const parent = (p.config['linux'] as { cgroup_parent: string }).cgroup_parent;
  return readFileSync(`/sys/fs/cgroup/${controller}${parent}/${c.id}/${name}`, 'utf8');
}

/** Stories of whole pods. */
export const ofPods: Readonly<Record<string, (n: Node) => Promise<unknown[]>>> = {
  'shared pids, sysctls, names': async (n) => {
    const p = await n.pod(
      {
        hostname: 'other',
        dns_config: { servers: ['192.0.2.1'], searches: ['example.org'], options: ['ndots:2'] },
      },
      {
        sysctls: { 'kernel.shm_rmid_forced': '1', 'net.ipv4.ip_local_port_range': '2000 3000' },
        security_context: { namespace_options: { pid: 'POD' } },
      },
    );
    const a = await p.run('exec sleep 54321', { pids: 'POD' });
    const b = await p.run('sleep 1000', { pids: 'POD' });
    await eventually(async () => (await b.sh('ps -o args'))[1].includes('sleep 54321'));
    const told = [
      await b.sh(
        'hostname; cat /etc/resolv.conf; cat /proc/sys/kernel/shm_rmid_forced /proc/sys/net/ipv4/ip_local_port_range',
      ),
      await b.sh('kill -9 $(ps -o pid,args | sed -n "s/ sleep 54321//p")'),
      (await a.ended()).exit_code,
      // The pod's own first process.
      await b.sh('ps -o pid,args | sed -n "s/^ *1 \\(...........\\).*/\\1/p"'),
    ];
    return told;
  },
  'stopping and removing a pod with running containers': async (n) => {
    const p = await n.pod();
    const a = await p.run('sleep 1000');
    const b = await p.run('trap "" TERM; while :; do sleep 0.1; done');
    const before = (await p.status()).state;
    await p.stop();
    await p.stop();
    const { state } = await p.status();
    const ends = [await a.ended(), await b.ended()].map((e) => [e.exit_code, e.reason]);
    const refused = await failure(p.run('true'));
    await p.remove();
    await p.remove();
    return [before, state, ends, refused, await failure(a.status()), await failure(p.status())];
  },
  'removing a pod that runs': async (n) => {
    const p = await n.pod();
    const a = await p.run('sleep 1000');
    const b = await p.output('exit 3');
    await p.remove();
    return [b, await failure(a.status())];
  },
  'the network of the node': async (n) => {
    const p = await n.pod(
      { hostname: '' },
      { security_context: { namespace_options: { network: 'NODE', pid: 'CONTAINER' } } },
    );
    const script = 'ls /sys/class/net | grep -c pods0';
    return [
      await p.output(script, { security: { namespace_options: { network: 'NODE', pid: 'CONTAINER' } } }),
    ];
  },
  'containerd is restarted, and its containers live on': async (n) => {
    const p = await n.pod();
    const dir = mkdtempSync(join(p.node.daemon.dir, 'told-'));
    const mounts = [{ container_path: '/told', host_path: dir }];
    const stays = await p.run(
      'echo before; until [ -e /told/on ]; do sleep 0.1; done; echo after; sleep 1000',
      {
        fields: { mounts },
      },
    );
    const goes = await p.run('until [ -e /told/end ]; do sleep 0.1; done; exit 9', { fields: { mounts } });
    await n.daemon.down('SIGKILL');
    writeFileSync(join(dir, 'end'), '');
    await n.daemon.up();
    await n.ready();
    const told: unknown[] = [
      (await goes.ended()).exit_code,
      (await p.status()).state,
      (await stays.status()).state,
    ];
    told.push(await stays.sh('echo inside; exit 4'), await p.output('echo new'));
    writeFileSync(join(dir, 'on'), '');
    await eventually(async () => stays.log()['stdout']!.includes('F after'));
    await stays.stop(0);
    return [...told, stays.log(), (await stays.status()).exit_code];
  },
};
