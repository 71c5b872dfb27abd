/** What `ps` shows: the container's processes as the sandbox's kernel knows them. */
import { processUsage } from '../../sentry/kernel/cpu-time.ts';
import type { PidNamespace } from '../../sentry/kernel/pid-namespace.ts';
import type { ThreadGroup } from '../../sentry/kernel/thread-group.ts';
import { argumentsOf } from '../../sentry/fsimpl/proc/pid-mem.ts';
import type { SandboxContainer } from './container.ts';

export interface ShownProcess {
  /** Effective, in the container's user namespace. */
  readonly uid: number;
  /** In the container's PID namespace; ppid 0: the parent is outside of it. */
  readonly pid: number;
  readonly ppid: number;
  /** Device of its terminal, 0: none. */
  readonly tty: number;
  readonly ageNs: number;
  readonly cpuNs: number;
  /** Arguments as /proc/PID/cmdline has them, cut; without any the name in brackets. */
  readonly command: string;
}

const COMMAND_MAX = 4096;
/** Bytes of the list in one answer; who asked asks again for what follows. */
const LIST_MAX = 40 * 1024;

/** Of the processes with numbers above `after` as many as fit into an answer, ascending; empty: that was all. */
export function processList(c: SandboxContainer, after: number): ShownProcess[] {
  const { pidNs } = c.box;
  const all = [...c.groups()]
    .map((group) => ({ group, pid: group.pid.nrIn(pidNs) }))
    .filter(({ pid }) => pid > after)
    .sort((a, b) => a.pid - b.pid);
  const list: ShownProcess[] = [];
  let size = 0;
  for (const { group } of all) {
    const p = shown(c, group, pidNs);
    size += JSON.stringify(p).length;
    if (size > LIST_MAX && list.length > 0) break;
    list.push(p);
  }
  return list;
}

function shown(c: SandboxContainer, group: ThreadGroup, pidNs: PidNamespace): ShownProcess {
  const { leader, parent, session, startNs } = group;
  const usage = processUsage(group);
  return {
    uid: c.init.task.creds.userNs.fromUid(leader.creds.euid),
    pid: group.pid.nrIn(pidNs),
    ppid: parent?.pid.nrIn(pidNs) ?? 0,
    tty: session.tty?.rdev ?? 0,
    ageNs: c.kernel.clock.monotonicNs() - startNs,
    cpuNs: usage.utimeNs + usage.stimeNs,
    command: commandOf(c, group),
  };
}

/** Latin1, a character per byte. */
function commandOf(c: SandboxContainer, { leader }: ThreadGroup): string {
  const { init, config } = c;
  if (leader === init.task && !init.started) return config.process.args.join(' ');
  const args = leader.mm === null ? '' : argumentsOf(leader.mm);
  const words = args.replace(/\0+$/, '').replaceAll('\0', ' ');
  return words === '' ? `[${leader.comm}]` : words.slice(0, COMMAND_MAX);
}
