/** OCI bundles with a busybox root file system, run by runsc-ts and by runc. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BUSYBOX, busyboxRoot, usualMounts, usualNamespaces } from '../lib/bundle-parts.ts';
import { type Outcome, run, runscTs } from '../lib/sandbox.ts';

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
    mounts: structuredClone(usualMounts),
    linux: {
      namespaces: structuredClone(usualNamespaces),
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
    busyboxRoot(this.rootfs, APPLETS, ['etc', 'proc', 'sys', 'dev']);
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
