/** OCI bundles with a busybox root file system, run by runsc-ts and by runc. */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Outcome, run, runscTs } from '../lib/sandbox.ts';

const BUSYBOX = '/usr/bin/busybox';
const RUNC = '/usr/sbin/runc';
const APPLETS = [
  'sh', 'cat', 'echo', 'ls', 'id', 'stat', 'mount', 'umount', 'mkdir', 'touch', 'grep', 'sed', 'cut', 'head', 'sort',
  'hostname', 'dd', 'env', 'pwd', 'true', 'false', 'rm', 'test', 'wc', 'readlink', 'sleep', 'chmod', 'uname', 'nice', 'ln',
  'tr', 'printf', 'awk', 'nproc', 'chown', 'date',
]; // prettier-ignore

export const hasBusybox = existsSync(BUSYBOX);
export const hasRunc = existsSync(RUNC) && process.getuid!() === 0;

// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Spec = any;

/** What `runc spec` writes, without a terminal and with a shell command. */
export function defaultSpec(script: string): Spec {
  const caps = ['CAP_AUDIT_WRITE', 'CAP_KILL', 'CAP_NET_BIND_SERVICE'];
  return {
    ociVersion: '1.0.2',
    process: {
      user: { uid: 0, gid: 0 },
      args: ['sh', '-c', script],
      env: ['PATH=/bin', 'TERM=xterm'],
      cwd: '/',
      capabilities: { bounding: caps, effective: caps, permitted: caps, inheritable: [], ambient: [] },
      noNewPrivileges: true,
    },
    root: { path: 'rootfs', readonly: false },
    hostname: 'box',
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      {
        destination: '/dev',
        type: 'tmpfs',
        source: 'tmpfs',
        options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
      },
      {
        destination: '/dev/pts',
        type: 'devpts',
        source: 'devpts',
        options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
      },
      {
        destination: '/dev/shm',
        type: 'tmpfs',
        source: 'shm',
        options: ['nosuid', 'noexec', 'nodev', 'mode=1777', 'size=65536k'],
      },
      {
        destination: '/dev/mqueue',
        type: 'mqueue',
        source: 'mqueue',
        options: ['nosuid', 'noexec', 'nodev'],
      },
      {
        destination: '/sys',
        type: 'sysfs',
        source: 'sysfs',
        options: ['nosuid', 'noexec', 'nodev', 'ro'],
      },
    ],
    linux: {
      namespaces: ['pid', 'network', 'ipc', 'uts', 'mount'].map((type) => ({ type })),
      resources: { devices: [{ allow: false, access: 'rwm' }] },
      maskedPaths: [],
      readonlyPaths: [],
    },
  };
}

export class TestBundle {
  readonly dir = mkdtempSync(join(tmpdir(), 'oci-'));
  readonly rootfs = join(this.dir, 'rootfs');
  private static count = 0;

  constructor() {
    for (const d of ['bin', 'etc', 'tmp', 'proc', 'sys', 'dev'])
      mkdirSync(join(this.rootfs, d), { recursive: true });
    copyFileSync(BUSYBOX, join(this.rootfs, 'bin/busybox'));
    for (const a of APPLETS) symlinkSync('busybox', join(this.rootfs, 'bin', a));
    writeFileSync(
      join(this.rootfs, 'etc/passwd'),
      'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n',
    );
    writeFileSync(join(this.rootfs, 'etc/group'), 'root:x:0:\nuser:x:1000:\n');
  }

  write(spec: Spec): void {
    writeFileSync(join(this.dir, 'config.json'), JSON.stringify(spec));
  }

  /** `runsc-ts run` */
  run(platform: string, spec: Spec): Outcome {
    this.write(spec);
    const id = `test-${process.pid}-${TestBundle.count++}`;
    return run(runscTs, ['--platform', platform, 'run', '--bundle', this.dir, id]);
  }

  /** `runc run` */
  runc(spec: Spec): Outcome {
    this.write(spec);
    const id = `test-${process.pid}-${TestBundle.count++}`;
    return run(RUNC, ['--root', join(this.dir, 'runc'), 'run', '--bundle', this.dir, id]);
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}
