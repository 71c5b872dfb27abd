/**
 * The host's control groups of one container. Under version 1 every mounted hierarchy has a group at the container's path, as
 * runc makes them, because engines read their figures there. Memory and processes are special: sentry and gofer are
 * programs of ours, not of the user's, and a small limit would hit them first. They are in a group `PATH.sentry` beside the
 * container's, so that limits, figures and out-of-memory events at the path are those of the guests. The freezer's group at
 * the path has the stub only, so that it can say FROZEN of a paused container: guests are stopped by the sentry, and host
 * processes that wait in seccomp's notifications could not be frozen at all. Under version 2 a process is in one group only:
 * there the limits are raised by an allowance for sentry and gofer, and nothing is frozen.
 */
import { existsSync, mkdirSync, readdirSync, rmdirSync } from 'node:fs';
import { sleepMs } from '../state/lock.ts';
import { UserError } from '../user-error.ts';
import { writeDevicesV1 } from './devices.ts';
import { CgroupError, codeOf, readCgroupFile, readProcs, writeCgroupFile } from './file.ts';
import { systemdRuns, type CgroupHost } from './host.ts';
import { directoryIn, type CgroupPlace, type Scope } from './path.ts';
import type { Resources } from './resources.ts';
import type { Allowance, Setting } from './settings.ts';
import { fillCpuset, settingsV1, writeBandwidthV1, writeMemoryV1, writeSettingV1 } from './v1.ts';
import { startScope } from './systemd.ts';
import { checkUsageV2, controllersOf, enableControllers, settingsV2, writeSettingV2 } from './v2.ts';

/** What has to be remembered of a container's groups, as JSON. */
export interface CgroupState {
  version: 1 | 2;
  /** Hierarchy → the container's directory. */
  paths: Record<string, string>;
  /** Hierarchy → directory of sentry and gofer, where it is another one. */
  sentryPaths: Record<string, string>;
  /** Directories that others used before: their processes and groups are not the container's to end. */
  shared?: string[];
  /** Unit of systemd that the groups belong to; it is started around the first process. */
  scope?: Scope;
}

export interface CgroupHandle {
  readonly state: CgroupState;
  /**
   * Files that a process writes "0" to in order to enter groups: those of sentry and gofer, or of any other process of the
   * container. What the launcher enters for itself only, and where it and guests go instead, is below.
   */
  joinFiles(who: 'sentry' | 'container'): string[];
  lateFiles(who: 'sentry' | 'container'): string[];
  guestFiles(): string[];
  /** With systemd: has it start the scope around `pid`, before that enters the groups. */
  startScope(pid: number): void;
  /** cgroup.procs of the groups that matter for limits and figures: where the sentry puts guests of a further container. */
  memberProcsFiles(): string[];
  /** Sets limits; returns what could not be set for lack of permission. */
  apply(resources: Resources): string[];
  /** Shows a paused container to who looks into the freezer's group. */
  freezeStub(): void;
  thaw(): void;
  /** Processes in the container's groups, without the sentry's own where those are apart. */
  procs(): number[];
  /** Kills what is left and removes the groups. Throws if they cannot be removed; those that others use stay. */
  remove(): void;
}

/** Controllers whose figures would be spoilt by the sandbox's own processes. */
const APART = ['memory', 'pids', 'freezer'];
/** Of those the ones whose group at the path has guests. */
const GUESTS = ['memory', 'pids'];
/** Controllers with limits for processes, each of which costs a write per process there. */
const COUNTED = ['memory', 'pids', 'cpu', 'cpuacct', 'cpuset', 'blkio'];
const SENTRY_SUFFIX = '.sentry';

/** Sentry, gofer and launcher under version 2. */
const ALLOWANCE_V2: Allowance = { memory: 256 * 1024 * 1024, pids: 64 };
/** The launcher and prepared address spaces of the platform under version 1; a large limit has room for them. */
const PIDS_ALLOWANCE_V1 = 32;
const PIDS_LARGE = 256;
/** What sentry and gofer may use beyond the container's limit, whose tmpfs files are theirs as far as the host knows. */
const SENTRY_MEMORY = 1024 * 1024 * 1024;

const FREEZE_TRIES = 1000;
const REMOVE_DEADLINE_MS = 5000;
/** How long processes of the container that were killed may take to leave a group that stays for others. */
const LEAVE_DEADLINE_MS = 500;

const NO_PERMISSION: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'EROFS']);

/** Makes the container's groups. `warnings` gets what was left out for lack of permission. */
export function createCgroup(
  host: CgroupHost,
  place: CgroupPlace,
  resources: Resources,
  warnings: string[],
): CgroupHandle {
  const state: CgroupState = { version: host.version, paths: {}, sentryPaths: {} };
  if (place.scope !== null && systemdRuns()) state.scope = place.scope;
  const denied: string[] = [];
  const group = new Cgroup(state, denied);
  try {
    for (const [name, h] of host.hierarchies) {
      try {
        const dir = directoryIn(host, h, place.path);
        noteUse(state, dir);
        state.paths[name] = makeGroup(host, name, h.mount, dir);
        if (host.version === 1 && APART.includes(name)) {
          const sentry = `${state.paths[name]}${SENTRY_SUFFIX}`;
          noteUse(state, sentry);
          mkdirSync(sentry, { recursive: true });
          state.sentryPaths[name] = sentry;
        }
      } catch (e) {
        delete state.paths[name];
        if (!NO_PERMISSION.has(codeOf(e))) throw e;
        denied.push(name);
      }
    }
    // Nobody in it would ever run.
    if (group.isFrozen()) throw new UserError("container's cgroup unexpectedly frozen");
    const notInForce = group.apply(resources);
    if (host.version === 1 && state.paths['devices'] !== undefined && resources.devices !== null) {
      writeDevicesV1(state.paths['devices'], resources.devices);
    }
    // All for the same reason: once is enough.
    if (Object.keys(state.paths).length > 0) warnings.push(...notInForce);
    else if (notInForce.length > 0) warnings.push('limits are not in force: this user may not make cgroups');
  } catch (e) {
    group.remove();
    throw asUserError(e);
  }
  return group;
}

export function openCgroup(state: CgroupState): CgroupHandle {
  return new Cgroup(state);
}

function makeGroup(host: CgroupHost, name: string, mount: string, dir: string): string {
  if (host.version === 1 && name !== 'cpuset') {
    mkdirSync(dir, { recursive: true });
    return dir;
  }
  let at = mount;
  for (const part of dir.slice(mount.length).split('/').filter(Boolean)) {
    if (host.version === 2) enableControllers(at);
    at = `${at}/${part}`;
    mkdirSync(at, { recursive: true });
  }
  if (name === 'cpuset') fillCpuset(dir, mount);
  return dir;
}

function asUserError(e: unknown): unknown {
  return e instanceof CgroupError || (e as NodeJS.ErrnoException).syscall === 'mkdir'
    ? new UserError(`cgroup: ${(e as Error).message}`)
    : e;
}

class Cgroup implements CgroupHandle {
  readonly state: CgroupState;
  /** Hierarchies that the caller may not use. */
  private readonly denied: readonly string[];

  constructor(state: CgroupState, denied: readonly string[] = []) {
    this.state = state;
    this.denied = denied;
  }

  joinFiles(who: 'sentry' | 'container'): string[] {
    const { paths, sentryPaths } = this.state;
    const isApart = (name: string): boolean => who === 'sentry' || !GUESTS.includes(name);
    const dirs = this.names().map((name) => (isApart(name) && sentryPaths[name]) || paths[name]!);
    return [...new Set(dirs)].map((dir) => this.procsFile(dir));
  }

  lateFiles(who: 'sentry' | 'container'): string[] {
    if (this.state.version === 2) return [];
    const { freezer, unified } = this.state.paths;
    const files = freezer !== undefined && who === 'sentry' ? [this.procsFile(freezer)] : [];
    return unified === undefined ? files : [...files, `${unified}/cgroup.procs`];
  }

  guestFiles(): string[] {
    return Object.keys(this.state.sentryPaths)
      .filter((name) => GUESTS.includes(name))
      .map((name) => this.procsFile(this.state.paths[name]!));
  }

  /** Hierarchies that count anything. A tree of version 2 beside those of version 1 does not, and entering it is slow. */
  private names(): string[] {
    const names = Object.keys(this.state.paths);
    return this.state.version === 1 ? names.filter((name) => name !== 'unified') : names;
  }

  /** `tasks` is for one thread; the kernel lets a thread move itself without stopping all forks of the machine. */
  private procsFile(dir: string): string {
    return this.state.version === 1 ? `${dir}/tasks` : `${dir}/cgroup.procs`;
  }

  startScope(pid: number): void {
    if (this.state.scope !== undefined) startScope(this.state.scope, pid);
  }

  memberProcsFiles(): string[] {
    const { paths } = this.state;
    const dirs = Object.keys(paths).filter((name) => this.state.version === 2 || COUNTED.includes(name));
    return [...new Set(dirs.map((name) => `${paths[name]!}/cgroup.procs`))];
  }

  apply(resources: Resources): string[] {
    return this.state.version === 1 ? this.applyV1(resources) : this.applyV2(resources);
  }

  private applyV1(r: Resources): string[] {
    if (Object.keys(r.unified).length > 0) {
      throw new UserError(
        `linux.resources.unified ${JSON.stringify(r.unified)}: this machine has cgroups of version 1`,
      );
    }
    const warnings: string[] = [];
    const { paths, sentryPaths } = this.state;
    const { limit: pids = 0 } = r.pids;
    const allowance: Allowance = { memory: 0, pids: pids >= PIDS_LARGE ? 0 : PIDS_ALLOWANCE_V1 };
    const attempt = (field: string, controller: string, write: (dir: string) => void): void => {
      const dir = paths[controller];
      if (dir === undefined && this.denied.includes(controller)) {
        warnings.push(`linux.resources.${field}: not in force: no permission to make a cgroup for it`);
        return;
      }
      if (dir === undefined) missing(field, controller);
      guarded(warnings, field, () => write(dir));
    };
    if (r.memory.limit !== undefined || r.memory.swap !== undefined) {
      attempt('memory.limit', 'memory', (dir) => {
        writeMemoryV1(dir, r, allowance);
        const sentry = sentryPaths['memory'];
        const { limit } = r.memory;
        if (sentry === undefined || limit === undefined) return;
        writeMemoryV1(sentry, { ...r, memory: { limit } }, { memory: SENTRY_MEMORY, pids: 0 });
      });
    }
    const { quota, period, burst } = r.cpu;
    if (quota !== undefined || period !== undefined || burst !== undefined) {
      attempt('cpu.quota', 'cpu', (dir) => writeBandwidthV1(dir, r));
    }
    for (const s of settingsV1(r, allowance)) attempt(s.field, s.controller, (dir) => writeSettingV1(dir, s));
    return warnings;
  }

  private applyV2(r: Resources): string[] {
    const warnings: string[] = [];
    const dir = this.state.paths['unified'];
    const settings = settingsV2(r, ALLOWANCE_V2);
    if (dir === undefined) {
      return settings.map((s) => `linux.resources.${s.field}: not in force: there is no cgroup`);
    }
    checkUsageV2(dir, r, ALLOWANCE_V2);
    const present = controllersOf(dir);
    const isInForce = (s: Setting): boolean => s.controller === 'cgroup' || present.includes(s.controller);
    for (const s of settings) {
      if (!isInForce(s)) missing(s.field, s.controller);
      guarded(warnings, s.field, () => writeSettingV2(dir, s));
    }
    return warnings;
  }

  freezeStub(): void {
    const { version, paths, shared = [] } = this.state;
    if (version === 1 && paths['freezer'] !== undefined && !shared.includes(paths['freezer']))
      this.setFrozen(true);
  }

  thaw(): void {
    if (this.isFrozen()) this.setFrozen(false);
  }

  private setFrozen(frozen: boolean): void {
    const dir = this.state.version === 1 ? this.state.paths['freezer'] : this.state.paths['unified'];
    if (dir === undefined) return;
    for (let i = 0; i < FREEZE_TRIES; i++) {
      if (this.state.version === 2) {
        if (i === 0) writeCgroupFile(dir, 'cgroup.freeze', frozen ? '1' : '0');
        if ((readCgroupFile(dir, 'cgroup.events') ?? '').includes(`frozen ${frozen ? 1 : 0}`)) return;
      } else {
        const wanted = frozen ? 'FROZEN' : 'THAWED';
        // A fork can slip through: thawed and frozen again, it is caught.
        if (frozen && i > 0 && i % 50 === 0) writeCgroupFile(dir, 'freezer.state', 'THAWED');
        writeCgroupFile(dir, 'freezer.state', wanted);
        if (readCgroupFile(dir, 'freezer.state')?.trim() === wanted) return;
      }
      sleepMs(1);
    }
    if (frozen) this.setFrozen(false);
    throw new UserError(`cannot ${frozen ? 'freeze' : 'thaw'} the container: its processes do not follow`);
  }

  procs(): number[] {
    const { paths } = this.state;
    const dir = paths['pids'] ?? paths['memory'] ?? paths['unified'] ?? Object.values(paths)[0];
    return dir === undefined ? [] : allProcs(dir);
  }

  remove(): void {
    const { paths, sentryPaths, shared = [] } = this.state;
    const all = [...new Set([...Object.values(paths), ...Object.values(sentryPaths)])].filter((d) =>
      existsSync(d),
    );
    this.removeOwn(all.filter((d) => !shared.includes(d)));
    leave(all.filter((d) => shared.includes(d)));
  }

  private removeOwn(dirs: readonly string[]): void {
    const deadline = Date.now() + REMOVE_DEADLINE_MS;
    for (let pause = 1; ; pause = Math.min(pause * 2, 100)) {
      const left = dirs.filter((d) => !removeTree(d));
      if (left.length === 0) return;
      if (Date.now() > deadline) {
        throw new UserError(`cannot remove the cgroup ${left[0]!}: it is still in use`);
      }
      this.killAll(left);
      sleepMs(pause);
    }
  }

  private killAll(dirs: readonly string[]): void {
    this.thaw();
    for (const pid of new Set(dirs.flatMap(allProcs))) {
      try {
        if (pid !== process.pid && pid > 0) process.kill(pid, 'SIGKILL');
      } catch {
        continue; // gone
      }
    }
  }

  isFrozen(): boolean {
    const { freezer, unified } = this.state.paths;
    if (this.state.version === 2)
      return unified !== undefined && readCgroupFile(unified, 'cgroup.freeze')?.trim() === '1';
    return (
      freezer !== undefined && (readCgroupFile(freezer, 'freezer.state') ?? 'THAWED').trim() !== 'THAWED'
    );
  }
}

function missing(field: string, controller: string): never {
  throw new UserError(`linux.resources.${field}: there is no cgroup controller "${controller}" for it`);
}

/** A limit that may not be set is a warning: an ordinary user's sandbox runs without. */
function guarded(warnings: string[], field: string, write: () => void): void {
  try {
    write();
  } catch (e) {
    if (!(e instanceof CgroupError)) throw e;
    if (!NO_PERMISSION.has(e.code)) throw new UserError(`linux.resources.${field}: ${e.message}`);
    warnings.push(`linux.resources.${field}: not in force: ${e.message}`);
  }
}

const children = (dir: string): string[] =>
  readdirSync(dir, { withFileTypes: true })
    .filter((e) => e.isDirectory())
    .map((e) => `${dir}/${e.name}`);

function allProcs(dir: string): number[] {
  try {
    return [...readProcs(dir), ...children(dir).flatMap(allProcs)];
  } catch {
    return [];
  }
}

/** Is somebody in the group, or are there groups below it? */
const isInUse = (dir: string): boolean =>
  existsSync(dir) && (readProcs(dir).length > 0 || children(dir).length > 0);

/** Others' directories are to be left. */
function noteUse(state: CgroupState, dir: string): void {
  if (isInUse(dir)) state.shared = [...(state.shared ?? []), dir];
}

/** Removes what nobody uses any more: a create that was killed found its own remains "in use". */
function leave(dirs: readonly string[]): void {
  const deadline = Date.now() + LEAVE_DEADLINE_MS;
  for (let left = dirs; ; sleepMs(5)) {
    left = left.filter((d) => !removeEmpty(d));
    if (left.length === 0 || Date.now() > deadline) return;
  }
}

function removeEmpty(dir: string): boolean {
  try {
    rmdirSync(dir);
    return true;
  } catch (e) {
    return codeOf(e) === 'ENOENT';
  }
}

/** Removes a group with the groups below it: true if it is gone. */
function removeTree(dir: string): boolean {
  try {
    for (const child of children(dir)) removeTree(child);
  } catch (e) {
    return codeOf(e) === 'ENOENT';
  }
  return removeEmpty(dir);
}
