// Hooks of all six kinds through create, start and delete: order, state on standard input, what a failure does.
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { runscTs } from '../lib/sandbox.ts';
import { defaultSpec, hasBusybox, hasRunc, type Spec, TestBundle } from './bundle.ts';

const HOST_KINDS = ['prestart', 'createRuntime', 'createContainer', 'poststart', 'poststop'] as const;

describe.runIf(hasBusybox && process.getuid!() === 0)('hooks', () => {
  let b: TestBundle;
  const id = `hooks-${process.pid}`;
  beforeEach(() => {
    b = new TestBundle();
  });
  afterEach(() => {
    cli('delete', '--force', id);
    b.remove();
  });

  const cli = (...args: string[]): { status: number | null; stderr: string } => {
    // Not a pipe: the container would hold its other end, and spawnSync waits for the end of it.
    const file = join(b.dir, 'stderr');
    const fd = openSync(file, 'w');
    const r = spawnSync(runscTs, ['--root', join(b.dir, 'state'), ...args], {
      stdio: ['ignore', 'ignore', fd],
      timeout: 60_000,
    });
    closeSync(fd);
    return { status: r.status, stderr: readFileSync(file, 'utf8') };
  };

  /** A host program that notes its kind and keeps the state it gets. */
  const host = (kind: string, more = ''): Spec => ({
    path: '/bin/sh',
    args: ['sh', '-c', `echo ${kind} >> ${b.rootfs}/order; cat > ${b.dir}/${kind}.json; ${more}`],
    env: ['PATH=/usr/bin:/bin'],
    timeout: 60,
  });

  function spec(): Spec {
    const s = defaultSpec('echo main >> /order');
    s.annotations = { 'org.example': 'x' };
    s.hooks = Object.fromEntries(HOST_KINDS.map((kind) => [kind, [host(kind)]]));
    s.hooks.startContainer = [
      {
        path: '/bin/sh',
        args: ['sh', '-c', 'echo startContainer >> /order; cat > /startContainer.json; echo $A'],
        env: ['PATH=/bin', 'A=1'],
      },
    ];
    return s;
  }

  const order = (): string[] => readFileSync(join(b.rootfs, 'order'), 'utf8').trim().split('\n');
  const state = (kind: string, dir = b.dir): Spec =>
    JSON.parse(readFileSync(join(dir, `${kind}.json`), 'utf8'));

  test('all run in their places', () => {
    b.write(spec());
    expect(cli('create', '--bundle', b.dir, id)).toEqual({ status: 0, stderr: '' });
    expect(order()).toEqual(['prestart', 'createRuntime', 'createContainer']);
    expect(cli('start', id)).toEqual({ status: 0, stderr: '' });
    cli('wait', id);
    expect(cli('delete', id)).toEqual({ status: 0, stderr: '' });
    const ran = order();
    expect(ran.slice(0, 4)).toEqual(['prestart', 'createRuntime', 'createContainer', 'startContainer']);
    // A program that computes for half a second may be overtaken by the poststart hooks.
    expect(ran.slice(4, 6).sort()).toEqual(['main', 'poststart']);
    expect(ran.slice(6)).toEqual(['poststop']);
    const common = { ociVersion: '1.0.2', id, bundle: b.dir, annotations: { 'org.example': 'x' } };
    const { pid } = state('prestart') as { pid: number };
    expect(pid).toBeGreaterThan(1);
    expect(state('prestart')).toEqual({ ...common, status: 'creating', pid });
    expect(state('createRuntime')).toEqual({ ...common, status: 'creating', pid });
    // "For hooks executed in the container namespace, it is the pid as seen by the container."
    expect(state('createContainer')).toEqual({ ...common, status: 'creating', pid: 1 });
    expect(state('startContainer', b.rootfs)).toEqual({ ...common, status: 'created', pid: 1 });
    expect(state('poststart')).toMatchObject({ ...common, pid });
    expect(state('poststop')).toEqual({ ...common, status: 'stopped' });
  });

  test.runIf(hasRunc)('each where runc has it: directory, environment, namespaces', () => {
    const names = ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'user', 'uts'];
    const own = names.map((n) => `${n}=${readlinkSync(`/proc/self/ns/${n}`)}`).join(' ');
    const where = (kind: string): Spec => ({
      path: '/bin/sh',
      args: ['sh', '-c', `{ echo ${kind} $PWD $#:$1 $A $HOME $(hostname); for own in ${own.replace(/[[\]]/g, '\\$&')}; do [ $(readlink /proc/self/ns/\${own%%=*}) = "\${own#*=}" ] || echo \${own%%=*}; done; } >> ${b.dir}/where`, 'sh', 'x y'], // prettier-ignore
      env: ['PATH=/usr/bin:/bin', 'A=b c'],
    });
    const s = defaultSpec('true');
    s.linux.namespaces.push({ type: 'cgroup' });
    s.hooks = Object.fromEntries(HOST_KINDS.map((kind) => [kind, [where(kind)]]));
    const log = join(b.dir, 'where');
    b.runc(s);
    const native = readFileSync(log, 'utf8');
    rmSync(log);
    b.run('systrap', s);
    expect(readFileSync(log, 'utf8')).toBe(native);
    expect(native).toContain(
      `createContainer ${b.rootfs} 1:x y b c ${hostname()}\ncgroup\nipc\nmnt\nnet\npid\nuts\n`,
    );
  });

  test.runIf(hasRunc)('what the host’s kernel executes, no more: no shell for files without "#!"', () => {
    const path = join(b.dir, 'hook');
    writeFileSync(path, 'exit 0\n');
    chmodSync(path, 0o755);
    for (const kind of HOST_KINDS) {
      const s = defaultSpec('true');
      s.hooks = { [kind]: [{ path }] };
      const why = `hook #0: fork/exec ${path}: exec format error`;
      expect(b.runc(s).stderr, kind).toContain(why);
      expect(b.run('systrap', s).stderr, kind).toContain(why);
    }
  });

  test.runIf(hasRunc)('what a createContainer hook mounts is the container’s alone', () => {
    const s = defaultSpec('cat /etc/made');
    const script = 'mount -t tmpfs none etc && echo by the hook > etc/made';
    s.hooks = {
      createContainer: [{ path: '/bin/sh', args: ['sh', '-c', script], env: ['PATH=/usr/bin:/bin'] }],
    };
    expect(b.runc(s).stdout).toBe('by the hook\n');
    expect(b.run('systrap', s)).toMatchObject({ status: 0, stdout: 'by the hook\n' });
    expect(existsSync(join(b.rootfs, 'etc/made'))).toBe(false);
  });

  test.runIf(hasRunc)('the container’s mounts are there for hooks, and stay the host’s business', () => {
    const script = [
      'cat vol/deep/file && echo by the hook > vol/made',
      'for m in vol vol/deep t proc dev; do grep -c " $PWD/$m " /proc/self/mountinfo; done',
      'echo x > t/lost && ls -d . vol/deep t proc',
    ].join('; ');
    const seen = (run: (s: Spec) => { stdout: string; stderr: string }): string[] => {
      const volume = join(b.dir, 'volume');
      mkdirSync(join(volume, 'deep'), { recursive: true });
      mkdirSync(join(b.dir, 'deep'), { recursive: true });
      writeFileSync(join(b.dir, 'deep/file'), 'deep\n');
      const s = defaultSpec(
        'cat /vol/made /vol/deep/file; stat -c "%a %F" /t /vol; umount /vol/deep /vol /t; ls /vol /t',
      );
      for (const set of Object.values<string[]>(s.process.capabilities)) set.push('CAP_SYS_ADMIN');
      s.mounts.push(
        { destination: '/vol', type: 'bind', source: volume, options: ['rbind'] },
        { destination: '/vol/deep', type: 'bind', source: join(b.dir, 'deep'), options: ['bind', 'ro'] },
        { destination: '/t', type: 'tmpfs', source: 'tmpfs', options: [] },
      );
      const args = ['sh', '-c', `{ ${script}; } > ${b.dir}/seen 2>&1`];
      s.hooks = { createContainer: [{ path: '/bin/sh', args, env: ['PATH=/usr/bin:/bin'] }] };
      const r = run(s);
      const left = ['vol', 't'].map((m) => `${m} ${statSync(join(b.rootfs, m)).mode.toString(8)}`);
      for (const m of ['vol', 't']) rmSync(join(b.rootfs, m), { recursive: true });
      rmSync(volume, { recursive: true });
      return [r.stdout, r.stderr, readFileSync(join(b.dir, 'seen'), 'utf8'), ...left];
    };
    const native = seen((s) => b.runc(s));
    expect(native[0]).toBe('by the hook\ndeep\n1777 directory\n755 directory\n/t:\n\n/vol:\n');
    expect(seen((s) => b.run('systrap', s))).toEqual(native);
  });

  test.each(['prestart', 'createRuntime', 'createContainer'])('what fails in %s leaves nothing', (kind) => {
    const s = spec();
    s.hooks[kind].push(host('failing', 'echo why >&2; exit 3'));
    b.write(s);
    const r = cli('create', '--bundle', b.dir, id);
    expect(r.status).not.toBe(0);
    expect(r.stderr).toMatch(/hook #1: .*exit status 3, stdout: , stderr: why/);
    expect(cli('state', id).stderr).toMatch(/container does not exist/);
    expect(order().slice(-2)).toEqual(['failing', 'poststop']);
    expect(state('poststop').status).toBe('stopped');
  });

  test('what fails in startContainer keeps the program from running', () => {
    const s = spec();
    s.hooks.startContainer.push({
      path: '/bin/sh',
      args: ['sh', '-c', 'echo out; echo err >/dev/stderr; exit 5'],
    });
    b.write(s);
    expect(cli('create', '--bundle', b.dir, id).status).toBe(0);
    const r = cli('start', id);
    expect(r.status).toBe(1);
    expect(r.stderr).toMatch(/startContainer hook #1: .*exit status 5, stdout: out\n, stderr: err\n/);
    expect(cli('start', id).stderr).toMatch(/cannot start a container that has stopped/);
    expect(cli('delete', id)).toEqual({ status: 0, stderr: '' });
    expect(order().slice(-2)).toEqual(['startContainer', 'poststop']);
  });

  test('a startContainer hook that is not there', () => {
    const s = defaultSpec('true');
    s.hooks = { startContainer: [{ path: '/no/such' }] };
    b.write(s);
    const r = cli('run', '--bundle', b.dir, id);
    expect(r.status).toBe(1);
    expect(r.stderr).toMatch(/error running startContainer hook #0: .*\/no\/such: no such file or directory/);
    expect(cli('state', id).stderr).toMatch(/container does not exist/);
    expect(cli('run', '--keep', '--bundle', b.dir, id).status).toBe(1);
    expect(cli('delete', id)).toEqual({ status: 0, stderr: '' });
  });

  test('what fails after the start is a warning', () => {
    const s = spec();
    s.hooks.poststart.unshift({ path: '/bin/false', args: ['false'] });
    s.hooks.poststop.unshift({ path: '/no/such/program' });
    b.write(s);
    expect(cli('create', '--bundle', b.dir, id).status).toBe(0);
    const r = cli('start', id);
    expect(r.status).toBe(0);
    expect(r.stderr).toMatch(/poststart hook #0: .*exit status 1/);
    cli('wait', id);
    const d = cli('delete', id);
    expect(d.status).toBe(0);
    expect(d.stderr).toMatch(/poststop hook #0: .*no such file or directory/);
    expect(existsSync(join(b.dir, 'poststart.json')) && existsSync(join(b.dir, 'poststop.json'))).toBe(true);
  });
});
