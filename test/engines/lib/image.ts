/** A small image made here: busybox, users, a writable /tmp. No registry is asked. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const BUSYBOX = '/usr/bin/busybox';
/** What an image runs if nothing else is said: it does nothing, but reaps, and ends at once when told to, as a pod's "pause". */
const PAUSE = 'trap "exit 0" TERM INT; while :; do sleep 1000 & wait $!; done';

/** Writes a tar archive of a root file system to `file`. */
export function writeRootTar(file: string): void {
  const root = mkdtempSync(join(tmpdir(), 'busybox-root-'));
  try {
    for (const dir of ['bin', 'etc', 'tmp', 'root', 'home/user', 'dev', 'proc', 'sys', 'var/www', 'sbin']) {
      mkdirSync(join(root, dir), { recursive: true });
    }
    chmodSync(join(root, 'tmp'), 0o1777);
    copyFileSync(BUSYBOX, join(root, 'bin/busybox'));
    chmodSync(join(root, 'bin/busybox'), 0o755);
    const applets = execFileSync(BUSYBOX, ['--list'], { encoding: 'utf8' }).trim().split('\n');
    for (const applet of applets) {
      if (applet !== 'busybox') symlinkSync('busybox', join(root, 'bin', applet));
    }
    writeFileSync(
      join(root, 'etc/passwd'),
      'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n',
    );
    writeFileSync(join(root, 'etc/group'), 'root:x:0:\nuser:x:1000:\nextra:x:2000:user\n');
    writeFileSync(join(root, 'etc/plain'), 'not a program\n');
    execFileSync('chown', ['-R', '1000:1000', join(root, 'home/user')]);
    chmodSync(root, 0o755);
    execFileSync('tar', ['-C', root, '-cf', file, '.']);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

/** Writes an image with that root in the form of `docker save`. */
export function writeImageArchive(file: string, name: string): void {
  const dir = mkdtempSync(join(tmpdir(), 'image-'));
  try {
    writeRootTar(join(dir, 'layer.tar'));
    const digest = createHash('sha256')
      .update(readFileSync(join(dir, 'layer.tar')))
      .digest('hex');
    const config = {
      architecture: 'amd64',
      os: 'linux',
      config: { Env: ['PATH=/bin:/sbin'], Cmd: ['/bin/sh', '-c', PAUSE] },
      rootfs: { type: 'layers', diff_ids: [`sha256:${digest}`] },
    };
    writeFileSync(join(dir, 'config.json'), JSON.stringify(config));
    const manifest = [{ Config: 'config.json', RepoTags: [name], Layers: ['layer.tar'] }];
    writeFileSync(join(dir, 'manifest.json'), JSON.stringify(manifest));
    execFileSync('tar', ['-C', dir, '-cf', file, 'manifest.json', 'config.json', 'layer.tar']);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
