/** What the configuration says about a process, set on its task before it executes its program. */
import type { Task } from '../../sentry/kernel/task.ts';
import { SeccompFilter } from '../../sentry/kernel/seccomp.ts';
import { SeccompProfile } from '../../sentry/kernel/seccomp-profile.ts';
import { BootError } from './error.ts';
import { kernelContext, readGuestFile } from './paths.ts';
import type { LinuxConfig, ProcessConfig, SeccompConfig } from '../sandbox-config.ts';

const PASSWD_MAX = 1 << 20;

/** Privileges, priorities and limits of a process's first task, for init as for exec. */
export function prepareTask(t: Task, p: ProcessConfig, linux: LinuxConfig | null): void {
  t.noNewPrivs = p.noNewPrivileges;
  t.group.oomScoreAdj = p.oomScoreAdj;
  t.personality = linux?.personality ?? 0;
  if (p.scheduler) {
    t.schedPolicy = p.scheduler.policy;
    t.schedPriority = p.scheduler.priority;
    t.nice = p.scheduler.nice;
  }
  t.ioprio = p.ioPriority ?? 0;
  if (linux?.seccomp) t.seccomp = seccompFilter(linux.seccomp);
}

/** Filters are immutable: the processes of a container share one. */
const filters = new WeakMap<SeccompConfig, SeccompFilter>();

function seccompFilter(config: SeccompConfig): SeccompFilter {
  let filter = filters.get(config);
  if (filter === undefined) {
    filter = new SeccompFilter(new SeccompProfile(config.defaultAction, config.rules), null);
    filters.set(config, filter);
  }
  return filter;
}

/** The process's environment, with HOME from the container's /etc/passwd if it has none. */
export function environmentOf(t: Task, p: ProcessConfig): string[] {
  if (p.homeFromPasswd !== true || p.env.some((e) => e.startsWith('HOME=') && e.length > 5)) return p.env;
  return [...p.env.filter((e) => !e.startsWith('HOME=')), `HOME=${homeOf(t, p.uid)}`];
}

/** The home directory of a user, "/" if there is no entry for it. */
function homeOf(t: Task, uid: number): string {
  const text = readGuestFile(
    kernelContext(
      { box: t.group.container, creds: t.creds, pidNs: t.pidNs, ipc: t.ns.ipc, cgroup: t.ns.cgroup },
      t.fs.root,
    ),
    '/etc/passwd',
    PASSWD_MAX,
  );
  for (const line of (text ?? '').split('\n')) {
    const fields = line.split(':');
    if (fields.length >= 7 && fields[2] === String(uid)) {
      return Buffer.from(fields[5]!, 'latin1').toString('utf8') || '/';
    }
  }
  return '/';
}

/** `linux.sysctl`, in the namespaces of `t`. */
export function applySysctls(t: Task, sysctl: Record<string, string>): void {
  for (const [name, value] of Object.entries(sysctl)) {
    const path = `/proc/sys/${name
      .split('.')
      .map((p) => p.replaceAll('/', '.'))
      .join('/')}`;
    const r = t.kernel.setSysctl(t, path.slice('/proc/sys/'.length), value);
    if (r === null) throw new BootError(`open ${path}: no such file or directory`, 125);
    // As a write of nothing does, an empty value changes nothing.
    if (r < 0 && value !== '') throw new BootError(`write ${path}: invalid argument`, 125);
  }
}
