/** Host files seen from a sandbox: the same script natively (chroot) and in sandboxes, roots, volumes and images. */
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { platforms, run, runscTs, sandbox } from '../lib/sandbox.ts';

const BUSYBOX = '/bin/busybox';
const APPLETS =
  'sh ls cat mkdir rm mv ln chmod chown touch stat cp mkfifo truncate dd find du sync rmdir readlink test tail wc sort id';
const usable = fs.existsSync(BUSYBOX) && process.getuid!() === 0;

let top: string;

beforeEach(() => {
  top = fs.mkdtempSync(join(tmpdir(), 'gofer-sandbox-'));
});

afterEach(() => {
  execFileSync('rm', ['-rf', top]);
});

function makeRoot(name: string): string {
  const root = join(top, name);
  for (const d of ['bin', 'proc', 'sys', 'dev', 'tmp', 'etc', 'mnt'])
    fs.mkdirSync(join(root, d), { recursive: true });
  fs.copyFileSync(BUSYBOX, join(root, 'bin/busybox'));
  for (const a of APPLETS.split(' ')) fs.symlinkSync('busybox', join(root, 'bin', a));
  return root;
}

/** What the script leaves, without times. */
function snapshot(dir: string): string {
  return execFileSync('find', ['.', '-printf', '%y %m %U %G %n %s %p -> %l\n'], { cwd: dir })
    .toString('latin1')
    .split('\n')
    .sort()
    .filter((line) => !line.startsWith('d '))
    .join('\n');
}

const SCRIPT = `
cd /tmp
mkdir d; echo hello > d/f; ln d/f d/h; ln -s f d/s; cat d/s; readlink d/s
mv d/f d/g; chmod 751 d/g; chown 12:34 d/g; stat -c '%n %a %u %g %h %s' d/g d/h
echo more >> d/h; cat d/g; truncate -s 3 d/g; cat d/g; echo; stat -c '%s' d/g d/h
touch -d '2001-02-03 04:05:06' d/g; stat -c '%Y' d/h
mkfifo d/p; chmod 2755 d; echo x > d/x; chmod 4755 d/x; stat -c '%n %a %F' d d/p d/x d/s
cp -a d e; find e | sort; rm -r e; ls e 2>&1
dd if=/dev/zero of=big bs=1M count=3 2>/dev/null; stat -c '%s' big; cat big | wc -c
dd if=/dev/zero of=big bs=1k count=1 seek=2 conv=notrunc 2>/dev/null; stat -c '%s' big
cat d/none 2>&1; mkdir d 2>&1; rmdir d 2>&1; rm d 2>&1; cat d 2>&1; mv d d/sub 2>&1
mkdir a a/b; mv a/b c; echo y > c/y; rm -r a; mv c a; cat a/y; find . | sort
exec 5>unl; rm unl; echo data >&5; ls | sort; stat -L -c '%h %s' /proc/self/fd/5
: > t; for i in 1 2 3 4 5 6 7 8 9; do echo line $i >> t; done; tail -n 2 t; : > t; wc -c < t
mkdir many; i=0; while [ $i -lt 300 ]; do : > many/f$i; i=$((i+1)); done; ls many | wc -l; rm many/*7; ls many | wc -l
n=$(printf '%0255d' 1); : > $n; ls $n | wc -c; : > \${n}x 2>&1
: > ../outside; ls ..//./outside; rm ../../../outside; test -e /outside; echo $?
`;

describe.skipIf(!usable)('a written-through root', () => {
  test.each(platforms)('%s: a shell script does what it does natively', (platform) => {
    const native = makeRoot('native');
    fs.writeFileSync(join(native, 'script'), SCRIPT);
    execFileSync('mount', ['-t', 'proc', 'proc', join(native, 'proc')]);
    execFileSync('mount', ['--bind', '/dev', join(native, 'dev')]);
    let expected;
    try {
      expected = run('chroot', [native, '/bin/sh', '/script']);
    } finally {
      execFileSync('umount', [join(native, 'proc'), join(native, 'dev')]);
    }
    const root = makeRoot('guest');
    fs.writeFileSync(join(root, 'script'), SCRIPT);
    const flags = ['--force-overlay=false', '--root', root];
    const actual = sandbox(platform, ['/bin/sh', '/script'], { flags });
    expect(actual.stderr).toBe(expected.stderr);
    expect(actual.stdout).toBe(expected.stdout);
    expect(actual.status).toBe(expected.status);
    expect(snapshot(join(root, 'tmp'))).toBe(snapshot(join(native, 'tmp')));
  });
});

const python = run('python3', ['-c', 'import sys; print(sys.executable)']).stdout.trim();

describe.skipIf(!usable)('volumes', () => {
  test.skipIf(python === '').each(platforms)('%s: file calls do what they do natively', (platform) => {
    // Not in /tmp: that may be a file system without all calls.
    const at = fs.mkdtempSync('/var/tmp/gofer-volume-');
    try {
      for (const d of ['native', 'guest']) fs.mkdirSync(join(at, d));
      const script = join(import.meta.dirname, 'file-calls.py');
      const native = run(python, [script, join(at, 'native')]);
      const flags = ['--volume', `${join(at, 'guest')}:${join(at, 'native')}`];
      const guest = sandbox(platform, [python, script, join(at, 'native')], { flags });
      expect(guest.stderr).toBe(native.stderr);
      expect(guest.stdout).toBe(native.stdout);
      expect(guest.status).toBe(0);
      expect(fs.readdirSync(join(at, 'guest'))).toEqual([]);
    } finally {
      execFileSync('rm', ['-rf', at]);
    }
  });

  test('read-only ones refuse writes, single files work, changes of the host are seen', () => {
    const root = makeRoot('root');
    const ro = join(top, 'ro');
    const rw = join(top, 'rw');
    fs.mkdirSync(ro);
    fs.mkdirSync(rw);
    fs.writeFileSync(join(ro, 'f'), 'read-only\n');
    fs.writeFileSync(join(top, 'single'), 'single\n');
    const script =
      'cat /ro/f; echo x > /ro/f; rm /ro/f; echo > /ro/g; cat /etc/single; echo new > /mnt/made; cat /mnt/made';
    const flags = ['--root', root, '--volume', `${ro}:/ro:ro`, '--volume', `${rw}:/mnt`];
    const r = sandbox(platforms[0]!, ['/bin/sh', '-c', script], {
      flags: [...flags, '--volume', `${join(top, 'single')}:/etc/single:ro`],
    });
    expect(r.stdout).toBe('read-only\nsingle\nnew\n');
    expect(r.stderr.match(/Read-only file system/g)?.length).toBe(3);
    expect(fs.readFileSync(join(rw, 'made'), 'utf8')).toBe('new\n');
    expect(fs.existsSync(join(root, 'ro'))).toBe(false);
  });

  test('what the host changes is seen at once', async () => {
    const v = join(top, 'v');
    fs.mkdirSync(v);
    fs.writeFileSync(join(v, 'data'), 'old\n');
    const script =
      'cat /mnt/data; ls /mnt; while ! test -e /mnt/go; do :; done; cat /mnt/data; ls /mnt; stat -c %a /mnt/data';
    const flags = ['--root', makeRoot('root'), '--volume', `${v}:/mnt`];
    const child = spawn(runscTs, ['do', ...flags, '--', '/bin/sh', '-c', script]);
    let stdout = '';
    const first = new Promise<void>((resolve) => {
      child.stdout.on('data', (d: Buffer) => {
        stdout += d.toString();
        if (stdout.includes('data\n')) resolve();
      });
    });
    await first;
    fs.writeFileSync(join(v, 'new'), 'new content\n');
    fs.chmodSync(join(v, 'new'), 0o640);
    fs.renameSync(join(v, 'new'), join(v, 'data'));
    fs.writeFileSync(join(v, 'go'), '');
    await new Promise((resolve) => child.on('close', resolve));
    expect(stdout).toBe('old\ndata\nnew content\ndata\ngo\n640\n');
  });

  test('symbolic links of a volume lead to guest files, never to host files', () => {
    const root = makeRoot('root');
    fs.writeFileSync(join(root, 'etc/secret'), 'of the guest\n');
    fs.mkdirSync(join(top, 'v'));
    fs.symlinkSync('/etc/secret', join(top, 'v/abs'));
    fs.symlinkSync(`../../../../../../../..${top}/host`, join(top, 'v/up'));
    fs.writeFileSync(join(top, 'host'), 'of the host\n');
    const r = sandbox(platforms[0]!, ['/bin/sh', '-c', 'cat /v/abs; cat /v/up'], {
      flags: ['--root', root, '--volume', `${join(top, 'v')}:/v`],
    });
    expect(r.stdout).toBe('of the guest\n');
    expect(r.stderr).toContain('No such file or directory');
  });
});

describe.skipIf(!usable)('images', () => {
  const sha = (b: Buffer): string => createHash('sha256').update(b).digest('hex');

  test('layers with whiteouts are one tree', () => {
    const base = makeRoot('base');
    fs.writeFileSync(join(base, 'etc/gone'), '');
    fs.mkdirSync(join(base, 'etc/d'));
    fs.writeFileSync(join(base, 'etc/d/old'), '');
    const upper = join(top, 'upper');
    fs.mkdirSync(join(upper, 'etc/d'), { recursive: true });
    for (const f of ['etc/.wh.gone', 'etc/d/.wh..wh..opq', 'etc/d/new']) fs.writeFileSync(join(upper, f), '');
    const out = join(top, 'out');
    fs.mkdirSync(out);
    const layers = [base, upper].map((dir, i) => {
      execFileSync('tar', ['-cf', join(out, `${i}.tar`), '-C', dir, '.']);
      return fs.readFileSync(join(out, `${i}.tar`));
    });
    const cmd = ['/bin/sh', '-c', 'echo $A; ls /etc /etc/d; echo w > /etc/gone; cat /etc/gone; pwd; id -u'];
    const config = {
      os: 'linux',
      architecture: 'amd64',
      config: { Cmd: cmd, Env: ['A=b'], WorkingDir: '/tmp', User: '7' },
    };
    const rootfs = { type: 'layers', diff_ids: layers.map((l) => `sha256:${sha(l)}`) };
    fs.writeFileSync(join(out, 'config.json'), JSON.stringify({ ...config, rootfs }));
    fs.writeFileSync(
      join(out, 'manifest.json'),
      JSON.stringify([{ Config: 'config.json', Layers: ['0.tar', '1.tar'] }]),
    );
    execFileSync('tar', ['-cf', join(top, 'image.tar'), '-C', out, '.']);
    const r = run(runscTs, ['do', '--image', join(top, 'image.tar')]);
    execFileSync('rm', ['-rf', `/var/cache/runsc-ts/layers/${sha(layers[0]!)}`]);
    expect(r.stdout).toBe('b\n/etc:\nd\n\n/etc/d:\nnew\n/tmp\n7\n');
    expect(r.stderr).toMatch(/can't create \/etc\/gone: Permission denied/);
  });
});

/** Processes below `pid`. */
function descendants(pid: number): number[] {
  const children = run('ps', ['-o', 'pid=', '--ppid', String(pid)])
    .stdout.split('\n')
    .map(Number)
    .filter((p) => p > 0);
  return children.flatMap((c) => [c, ...descendants(c)]);
}

function isGofer(pid: number): boolean {
  try {
    return (
      /node$/.test(fs.readlinkSync(`/proc/${pid}/exe`)) &&
      fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('gofer.cjs')
    );
  } catch {
    return false;
  }
}

test.skipIf(!usable).each(platforms)(
  '%s: the end of the gofer is the end of the sandbox, with a message',
  async (platform) => {
    const script = 'echo up; while :; do cat /etc/none$((i=i+1)) 2>/dev/null; done';
    const child = spawn(runscTs, ['--platform', platform, 'do', '--', BUSYBOX, 'sh', '-c', script]);
    let stderr = '';
    child.stderr.on('data', (d: Buffer) => (stderr += d.toString()));
    await new Promise((resolve) => child.stdout.once('data', resolve));
    const gofer = descendants(child.pid!).filter(isGofer);
    expect(gofer.length).toBe(1);
    process.kill(gofer[0]!, 'SIGKILL');
    const status = await new Promise((resolve) =>
      child.on('close', (code, signal) => resolve(signal ?? code)),
    );
    expect(status).toBe(137);
    expect(stderr).toMatch(/file server|gofer/);
    expect(descendants(child.pid!)).toEqual([]);
  },
);

const HAS_ACL = fs.existsSync('/usr/bin/setfacl') && process.getuid!() === 0;

describe.skipIf(!HAS_ACL)('access control lists of a volume', () => {
  const SCRIPT = `cd "$1"; umask 022
as() { setpriv --reuid "$1" --regid "$1" --clear-groups sh -c "$2" 2>&1; }
as 4001 'cat from-host'; as 4002 'cat from-host'; as 4001 'cat closed/f'; as 4002 'cat closed/f'
setfacl -m u:4002:rw,g:4003:r from-host; getfacl -n from-host; as 4002 'echo more >>from-host'; as 4003 'cat from-host'
setfacl -d -m u:4001:rwx,o:- .; mkdir made; echo x >file; getfacl -n made file; chmod g-rwx file; as 4001 'cat file'; getfacl -n file
setfacl -b from-host; getfacl -n from-host; as 4002 'cat from-host'; ls -l | cut -c1-11 | sort; cp -p file copy; getfacl -n copy
cd closed; mkfifo -m 641 pipe; cp -a pipe other 2>&1; setfacl -m g::rw pipe 2>&1; stat -c %a pipe other`;
  const volume = (name: string): string | null => {
    const dir = join(top, name);
    fs.mkdirSync(join(dir, 'closed'), { recursive: true });
    fs.chmodSync(top, 0o755);
    fs.writeFileSync(join(dir, 'from-host'), 'hello\n', { mode: 0o600 });
    fs.writeFileSync(join(dir, 'closed/f'), 'inside\n');
    const set = (acl: string, file: string): number => run('setfacl', ['-m', acl, join(dir, file)]).status;
    return set('u:4001:r', 'from-host') === 0 && set('u:4002:-', 'closed') === 0 ? dir : null;
  };
  const script = ['/bin/sh', '-c', SCRIPT, 'sh'];

  test.each(platforms)('%s: as natively', (platform) => {
    const native = volume('native');
    if (native === null) return; // the host file system has none
    const expected = run(script[0]!, [...script.slice(1), native]);
    expect(expected.stdout).toContain('user:4002:rw-');
    const dir = volume('guest')!;
    const got = sandbox(platform, [...script, '/v'], { flags: ['--volume', `${dir}:/v`] });
    expect(got.stdout).toBe(expected.stdout);
  });
});
