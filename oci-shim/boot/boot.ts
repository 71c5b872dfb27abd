/**
 * The composition root: builds a Kernel from its parts as the configuration says, mounts the file systems and starts
 * the container's first process. Runs in the confined sentry.
 */
import { Credentials, UserNamespace } from '../../sentry/auth/credentials.ts';
import { IdMap } from '../../sentry/auth/id-map.ts';
import { CapSet } from '../../sentry/auth/capability.ts';
import type { GoferClient } from '../../sentry/gofer-api/gofer-api.ts';
import { close } from '../../sentry/host/sys.ffi.ts';
import { setDeviceList } from '../../sentry/kernel/cgroup/device-rules.ts';
import { Container } from '../../sentry/kernel/container.ts';
import { Kernel } from '../../sentry/kernel/kernel.ts';
import {
  CgroupNamespace,
  IpcNamespace,
  MountNamespaceRef,
  NetNamespace,
  UtsNamespace,
} from '../../sentry/kernel/namespaces.ts';
import { TimeNamespace, type TimeOffsets } from '../../sentry/kernel/time-namespace.ts';
import type { PidNamespace } from '../../sentry/kernel/pid-namespace.ts';
import type { Platform } from '../../sentry/platform/platform.ts';
import type { MountNamespace } from '../../sentry/vfs/mount-namespace.ts';
import { makeSyscallTable } from '../../syscalls/table.ts';
import { mountAll } from './mounts.ts';
import { registerParts, type HostFacts } from './parts.ts';
import { latin1 } from './paths.ts';
import { hasTerminal } from './stdio.ts';
import { SandboxContainer } from '../sandbox/container.ts';
import type { LinuxConfig, ProcessConfig, SandboxConfig } from '../sandbox-config.ts';

export interface BootEnv {
  config: SandboxConfig;
  platform: Platform;
  host: HostFacts;
  log: (line: string) => void;
}

/** What one container is made of. */
export interface ContainerEnv {
  config: SandboxConfig;
  gofer: GoferClient;
  /** Donated descriptors of the container's standard input, output and error. */
  stdioFds: readonly number[];
  /** Its own, or another container's that it shares. */
  pidNs: PidNamespace;
  uts: UtsNamespace;
  ipc: IpcNamespace;
  net: NetNamespace;
}

/** Namespaces of a container that shares none. */
export function ownNamespaces(
  config: SandboxConfig,
  pidNs: PidNamespace,
): Pick<ContainerEnv, 'pidNs' | 'uts' | 'ipc' | 'net'> {
  const uts = new UtsNamespace(latin1(config.hostname), latin1(config.domainname));
  return { pidNs, uts, ipc: new IpcNamespace(), net: new NetNamespace() };
}

/** A kernel without processes. */
export function bootKernel(env: BootEnv): Kernel {
  const kernel = new Kernel(env.platform, makeSyscallTable());
  kernel.report = env.log;
  if (env.config.pidsLimit > 0) kernel.tasksMax = env.config.pidsLimit;
  registerParts(kernel, env);
  return kernel;
}

/**
 * Makes a container: mounts its file systems, makes its first process and finds its program. `done` gets it, or why it cannot
 * be; a BootError is the user's to mend. Preconditions: platform.start has been called.
 */
export function createContainer(
  kernel: Kernel,
  env: ContainerEnv,
  done: (c: SandboxContainer | Error) => void,
): void {
  const { config } = env;
  let mounts: MountNamespace;
  const cgroup = new CgroupNamespace();
  const creds = initialCredentials(config.process, userNamespace(config.linux));
  const limit = config.pidsLimit > 0 ? config.pidsLimit : kernel.tasksMax;
  const box = new Container(config.id, env.pidNs, limit, config.limits);
  try {
    mounts = mountAll({ ...env, box, cgroup, creds, hasTerminal: hasTerminal(env.stdioFds) });
  } catch (e) {
    for (const fd of env.stdioFds) close(fd);
    done(e as Error);
    return;
  }
  const root = { mount: mounts.root, dentry: mounts.root.root };
  const time = new TimeNamespace(timeOffsets(config.linux));
  const ns = {
    uts: env.uts,
    ipc: env.ipc,
    net: env.net,
    mnt: new MountNamespaceRef(mounts),
    time,
    timeForChildren: time,
    cgroup,
    pidForChildren: env.pidNs,
  };
  kernel.rootPidNamespaces.add(env.pidNs);
  if (config.linux?.allowedDevices) setDeviceList(box, config.linux.allowedDevices);
  const container = new SandboxContainer(kernel, config, box, root, ns);
  container.makeInit({ creds, stdioFds: env.stdioFds }, env.pidNs.reaper !== null, done);
}

function timeOffsets(linux: LinuxConfig | null): Partial<TimeOffsets> {
  const lines = (linux?.timeOffsets ?? '').split('\n').filter(Boolean);
  const offset = ([clock, s, ns]: string[]): unknown[] => [clock, { sec: Number(s), nsec: Number(ns) }];
  return Object.fromEntries(lines.map((l) => offset(l.split(' '))));
}

/** The sandbox's outermost one, with the container's maps to show. */
function userNamespace(linux: LinuxConfig | null): UserNamespace {
  const ns = new UserNamespace(null, 0);
  if (linux !== null && linux.uidMappings.length > 0) {
    // The gofer is in the host's user namespace with these maps: owners of files are right as it gives them.
    const [uid, gid] = [new IdMap(linux.uidMappings), new IdMap(linux.gidMappings)];
    Object.assign(ns.maps, { uid: String(uid), gid: String(gid) });
  }
  return ns;
}

export function initialCredentials(p: ProcessConfig, userNs: UserNamespace): Credentials {
  const creds = new Credentials(userNs);
  creds.uid = creds.euid = creds.suid = creds.fsuid = p.uid;
  creds.gid = creds.egid = creds.sgid = creds.fsgid = p.gid;
  creds.groups = [...new Set(p.additionalGids)].sort((a, b) => a - b);
  creds.bounding = CapSet.of(...p.capabilities.bounding);
  creds.inheritable = CapSet.of(...p.capabilities.inheritable);
  creds.permitted = CapSet.of(...p.capabilities.permitted);
  // "Neither can be raised unless it is both permitted and inheritable" - capabilities(7).
  creds.ambient = CapSet.of(...p.capabilities.ambient)
    .and(creds.permitted)
    .and(creds.inheritable);
  creds.effective = CapSet.of(...p.capabilities.effective);
  return creds;
}
