/** The groups of a sandbox that is about to be started: made, limited, and handed to the launcher. */
import { existsSync, openSync } from 'node:fs';
import type { LauncherOptions } from '../../platform-ptrace/confine/launcher-protocol.ts';
import { createCgroup, type CgroupHandle } from './cgroup.ts';
import { readCgroupHost, type CgroupHost } from './host.ts';
import { cgroupPlace } from './path.ts';
import { asksForLimits, type Resources } from './resources.ts';

/** What is in the file, the controller, the file. */
const FIGURES_V1 = [
  ['usage', 'memory', 'memory.usage_in_bytes'],
  ['peak', 'memory', 'memory.max_usage_in_bytes'],
  ['stat', 'memory', 'memory.stat'],
  ['hits', 'memory', 'memory.failcnt'],
  ['events', 'memory', 'memory.oom_control'],
  ['cpu', 'cpu', 'cpu.stat'],
] as const;
/** Memory is that of the sandbox's own processes as well here: guests are better shown an estimate. */
const FIGURES_V2 = [
  ['events', 'unified', 'memory.events'],
  ['cpu', 'unified', 'cpu.stat'],
] as const;

export interface GroupRequest {
  id: string;
  /** `linux.cgroupsPath`; empty: the default. */
  cgroupsPath: string;
  /** --systemd-cgroup */
  systemd: boolean;
  resources: Resources;
}

/**
 * Makes the groups. null: there are none on this machine, or none that the caller may make. That is said only to those who
 * asked for limits: an ordinary user's sandbox needs no cgroup.
 */
export function makeGroups(request: GroupRequest, warn: (line: string) => void): CgroupHandle | null {
  const host = readCgroupHost();
  const wanted = asksForLimits(request.resources);
  if (host === null) {
    if (wanted) warn('limits are not in force: no cgroup file system is mounted');
    return null;
  }
  const warnings: string[] = [];
  const place = cgroupPlace(request.cgroupsPath, request.id, request.systemd);
  const group = createCgroup(host, place, request.resources, warnings);
  if (wanted) for (const w of warnings) warn(w);
  const others = group.procs().length;
  if (others > 0) warn(`container's cgroup is not empty: ${others} process(es) found`);
  return Object.keys(group.state.paths).length === 0 ? null : group;
}

type GroupOptions = Pick<LauncherOptions, 'joinProcsFds' | 'lateProcsFds' | 'guestProcsFds'>;

/** What a launcher has to be told to be in the groups. `fd` places a descriptor in it. */
export function groupOptions(
  group: CgroupHandle,
  who: 'sentry' | 'container',
  fd: (own: number) => number,
): GroupOptions {
  const open = (files: readonly string[]): number[] => files.map((f) => fd(openSync(f, 'w')));
  return {
    joinProcsFds: open(group.joinFiles(who)),
    lateProcsFds: open(group.lateFiles(who)),
    guestProcsFds: who === 'sentry' ? open(group.guestFiles()) : [],
  };
}

/** Descriptors for the sentry of another container's sandbox: it puts this container's guests there. */
export function memberProcsFds(group: CgroupHandle): number[] {
  return group.memberProcsFiles().map((f) => openSync(f, 'w'));
}

/**
 * Figures of the groups that the sentry shows to guests, as descriptors open for reading: it has no files. `names` are for
 * sandbox/group-figures.ts.
 */
export function figureFds(group: CgroupHandle): { names: string[]; fds: number[] } {
  const { paths } = group.state;
  const names: string[] = [];
  const fds: number[] = [];
  for (const [name, controller, file] of group.state.version === 1 ? FIGURES_V1 : FIGURES_V2) {
    const path = `${paths[controller] ?? ''}/${file}`;
    if (paths[controller] === undefined || !existsSync(path)) continue;
    names.push(name);
    fds.push(openSync(path, 'r'));
  }
  return { names, fds };
}

/** Groups for this process, which is about to become the launcher. The launcher has them removed at the end. */
export class OwnGroups {
  private readonly group: CgroupHandle;

  constructor(group: CgroupHandle) {
    this.group = group;
  }

  /** Before the configuration is written: it gets the names of the figures. */
  figures(): { names: string[]; fds: number[] } {
    return figureFds(this.group);
  }

  enter(): Partial<LauncherOptions> {
    const { paths, sentryPaths } = this.group.state;
    const host = readCgroupHost();
    return {
      ...groupOptions(this.group, 'sentry', (own) => own),
      leaveProcsFds: host === null ? [] : ownProcsFiles(host, paths).map((f) => openSync(f, 'w')),
      rmdirs: [...new Set([...Object.values(sentryPaths), ...Object.values(paths)])],
    };
  }

  /** The launcher could not be started. */
  undo(): void {
    this.group.remove();
  }
}

/** cgroup.procs of the groups that this process is in. */
function ownProcsFiles(host: CgroupHost, paths: Record<string, string>): string[] {
  return Object.keys(paths)
    .map((name) => host.hierarchies.get(name)!)
    .map((h) => `${h.mount}${h.own === '/' ? '' : h.own}/cgroup.procs`)
    .filter((f, i, all) => existsSync(f) && all.indexOf(f) === i);
}
