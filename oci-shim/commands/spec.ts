/** `runsc-ts spec`: a config.json to start from, as `runc spec` writes it (runc's libcontainer/specconv/example.go). */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readCgroupHost } from '../cgroup/host.ts';
import { UserError } from '../user-error.ts';
import { SPEC_VERSION } from '../version.ts';

export interface SpecOptions {
  bundle: string;
  rootless?: boolean;
}

export function writeSpec(o: SpecOptions): void {
  const path = join(o.bundle, 'config.json');
  if (existsSync(path)) throw new UserError(`file ${path} exists. Remove it first`);
  const spec = o.rootless === true ? rootlessSpec(process.getuid!(), process.getgid!()) : exampleSpec();
  try {
    writeFileSync(path, `${JSON.stringify(spec, null, '\t')}\n`, { flag: 'wx', mode: 0o666 });
  } catch (e) {
    throw new UserError(`cannot write ${path}: ${(e as NodeJS.ErrnoException).code ?? String(e)}`);
  }
}

const CAPABILITIES = ['CAP_AUDIT_WRITE', 'CAP_KILL', 'CAP_NET_BIND_SERVICE'];

function exampleSpec() {
  return {
    ociVersion: SPEC_VERSION,
    process: {
      terminal: true,
      user: { uid: 0, gid: 0 },
      args: ['sh'],
      env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'TERM=xterm'],
      cwd: '/',
      capabilities: {
        bounding: CAPABILITIES,
        effective: CAPABILITIES,
        permitted: CAPABILITIES,
        ambient: CAPABILITIES,
      },
      rlimits: [{ type: 'RLIMIT_NOFILE', hard: 1024, soft: 1024 }],
      noNewPrivileges: true,
    },
    root: { path: 'rootfs', readonly: true },
    hostname: 'runsc-ts',
    mounts: [
      mount('/proc', 'proc', 'proc'),
      mount('/dev', 'tmpfs', 'tmpfs', 'nosuid', 'strictatime', 'mode=755', 'size=65536k'),
      mount(
        '/dev/pts',
        'devpts',
        'devpts',
        'nosuid',
        'noexec',
        'newinstance',
        'ptmxmode=0666',
        'mode=0620',
        'gid=5',
      ),
      mount('/dev/shm', 'tmpfs', 'shm', 'nosuid', 'noexec', 'nodev', 'mode=1777', 'size=65536k'),
      mount('/dev/mqueue', 'mqueue', 'mqueue', 'nosuid', 'noexec', 'nodev'),
      mount('/sys', 'sysfs', 'sysfs', 'nosuid', 'noexec', 'nodev', 'ro'),
      mount('/sys/fs/cgroup', 'cgroup', 'cgroup', 'nosuid', 'noexec', 'nodev', 'relatime', 'ro'),
    ],
    linux: {
      resources: { devices: [{ allow: false, access: 'rwm' }] },
      namespaces: ['pid', 'network', 'ipc', 'uts', 'mount', ...cgroupNamespace()].map((type) => ({ type })),
      maskedPaths: [
        '/proc/acpi', '/proc/asound', '/proc/kcore', '/proc/keys', '/proc/latency_stats', '/proc/timer_list',
        '/proc/timer_stats', '/proc/sched_debug', '/sys/firmware', '/proc/scsi',
      ], // prettier-ignore
      readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
    },
  };
}

/** As runc has it: under version 2 only. */
const cgroupNamespace = (): string[] => (readCgroupHost()?.version === 2 ? ['cgroup'] : []);

interface Mount {
  destination: string;
  type: string;
  source: string;
  options?: string[];
}

function mount(destination: string, type: string, source: string, ...options: string[]): Mount {
  return options.length === 0 ? { destination, type, source } : { destination, type, source, options };
}

/** For an ordinary user: his id is the container's root, and there is no limit and no network of its own to set up. */
export function rootlessSpec(uid: number, gid: number) {
  const spec = exampleSpec();
  const { maskedPaths, readonlyPaths } = spec.linux;
  // Whoever has no network of his own may not mount a sysfs.
  const sys = mount('/sys', 'none', '/sys', 'rbind', 'nosuid', 'noexec', 'nodev', 'ro');
  const hasId = (option: string): boolean => !option.startsWith('gid=') && !option.startsWith('uid=');
  return {
    ...spec,
    mounts: spec.mounts.map((m) => {
      if (m.destination === '/sys') return sys;
      return m.options === undefined ? m : { ...m, options: m.options.filter(hasId) };
    }),
    linux: {
      uidMappings: [{ containerID: 0, hostID: uid, size: 1 }],
      gidMappings: [{ containerID: 0, hostID: gid, size: 1 }],
      namespaces: ['pid', 'ipc', 'uts', 'mount', ...cgroupNamespace(), 'user'].map((type) => ({ type })),
      maskedPaths,
      readonlyPaths,
    },
  };
}
