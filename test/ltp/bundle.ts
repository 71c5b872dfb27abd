/** The OCI bundle in which commands of the Linux Test Project run: a fresh writable root, /usr and the suite from the host. */
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { usualMounts, usualNamespaces } from '../lib/bundle-parts.ts';

/** What a container gets by default from the usual engines. */
const DEFAULT_CAPS = [
  'CHOWN', 'DAC_OVERRIDE', 'FSETID', 'FOWNER', 'MKNOD', 'NET_RAW', 'SETGID', 'SETUID', 'SETFCAP', 'SETPCAP',
  'NET_BIND_SERVICE', 'SYS_CHROOT', 'KILL', 'AUDIT_WRITE',
]; // prettier-ignore

/** A privileged container, short of what would reach the whole machine under runc: its clock, modules, boot, limits. */
const PRIVILEGED_CAPS = [
  ...DEFAULT_CAPS,
  'DAC_READ_SEARCH', 'LINUX_IMMUTABLE', 'NET_BROADCAST', 'NET_ADMIN', 'IPC_LOCK', 'IPC_OWNER', 'SYS_PTRACE', 'SYS_PACCT',
  'SYS_ADMIN', 'SYS_NICE', 'SYS_TTY_CONFIG', 'LEASE', 'AUDIT_CONTROL', 'MAC_OVERRIDE', 'MAC_ADMIN', 'SYSLOG',
  'WAKE_ALARM', 'BLOCK_SUSPEND', 'AUDIT_READ',
]; // prettier-ignore

export interface BundleOptions {
  ltpRoot: string;
  privileged: boolean;
  /** Directory of the driver and the list of commands; seen at /driver. */
  driverDir: string;
  args: readonly string[];
  env: readonly string[];
}

/** Makes a bundle in `dir`. Its root is a plain directory: /tmp in it belongs to the container's own file system. */
export function makeBundle(options: BundleOptions): string {
  const dir = mkdtempSync('/tmp/ltp-bundle-');
  const rootfs = join(dir, 'rootfs');
  for (const d of [
    'proc',
    'sys',
    'dev',
    'usr',
    'root',
    'run',
    'var/lib',
    'home',
    'mnt',
    'srv',
    'driver',
    options.ltpRoot,
  ])
    mkdirSync(join(rootfs, d), { recursive: true });
  for (const d of ['tmp', 'var/tmp']) {
    mkdirSync(join(rootfs, d));
    chmodSync(join(rootfs, d), 0o1777);
  }
  cpSync('/etc', join(rootfs, 'etc'), { recursive: true, verbatimSymlinks: true });
  for (const d of ['bin', 'sbin', 'lib', 'lib64', 'lib32']) {
    if (existsSync(`/${d}`) && lstatSync(`/${d}`).isSymbolicLink())
      symlinkSync(readlinkSync(`/${d}`), join(rootfs, d));
  }
  writeFileSync(join(dir, 'config.json'), JSON.stringify(spec(options), null, 1));
  return dir;
}

function spec(options: BundleOptions): unknown {
  const caps = (options.privileged ? PRIVILEGED_CAPS : DEFAULT_CAPS).map((c) => `CAP_${c}`);
  const bind = (source: string, destination: string) => ({
    destination,
    type: 'bind',
    source,
    options: ['rbind', 'ro'],
  });
  return {
    ociVersion: '1.0.2',
    process: {
      args: options.args,
      cwd: '/',
      env: options.env,
      user: { uid: 0, gid: 0 },
      capabilities: { bounding: caps, effective: caps, permitted: caps },
      rlimits: [
        { type: 'RLIMIT_NOFILE', soft: 1024, hard: 4096 },
        { type: 'RLIMIT_CORE', soft: 0, hard: 67108864 },
      ],
    },
    root: { path: 'rootfs' },
    hostname: 'ltp',
    mounts: [
      ...usualMounts,
      bind('/usr', '/usr'),
      bind(options.ltpRoot, options.ltpRoot),
      bind(options.driverDir, '/driver'),
    ],
    linux: { namespaces: usualNamespaces },
  };
}
