/**
 * `create`: brings a container up to the point where its program would run. The CLI prepares and watches, the stub does.
 * Whatever fails on the way, and if the CLI itself is killed, nothing is left.
 */
import { userInfo } from 'node:os';
import { errnoName } from '../../sentry/abi/errno.ts';
import { close } from '../../sentry/host/sys.ffi.ts';
import {
  MSG_CREATED,
  MSG_PLACED,
  MSG_READY,
  type LauncherOptions,
} from '../../platform-ptrace/confine/launcher-protocol.ts';
import { connectSandbox, requestOn } from '../control/client.ts';
import { listenIn, pair } from '../control/socket.ts';
import type { CgroupHandle } from '../cgroup/cgroup.ts';
import { figureFds, groupOptions, makeGroups, memberProcsFds } from '../cgroup/sandbox-groups.ts';
import { oomKills } from '../cgroup/stats.ts';
import type { GlobalOptions } from '../global-options.ts';
import { runHooks, runPoststopHooks } from '../hooks/run-hooks.ts';
import { launcherOptions, mayUseRawSockets } from '../launch.ts';
import { openSyscallReport, reportConfig } from '../log-files.ts';
import { loadBundle, type Bundle } from '../spec/bundle.ts';
import { stubView } from '../spec/stub-view.ts';
import { ociState, type ContainerState } from '../state/container-state.ts';
import type { HostProcess } from '../state/host-process.ts';
import { checkId, StateDir, writeAtomically, type LockedContainer } from '../state/state-dir.ts';
import { warn } from './log.ts';
import { UserError } from '../user-error.ts';
import { checkConsole, openConsole, sendPidfd } from './console.ts';
import { membership, type Membership } from './members.ts';
import { foreignNamespaces, innerPid, makesUserNamespace, mapIds, namespaceOptions } from './namespaces.ts';
import { networkPlace } from './network.ts';
import { addNotifyDirectory } from './notify-socket.ts';
import { identityOf, Inherited, Stub } from './stub.ts';

export interface CreateOptions {
  readonly id: string;
  readonly bundle: string;
  readonly pidFile?: string;
  readonly consoleSocket?: string;
  readonly pidfdSocket?: string;
  /** Descriptors from 3 on for the first process: sockets of systemd's that it is told of, then others. */
  readonly listenFds: number;
  readonly preserveFds: number;
  /** False: the caller stays and waits (`run` in the foreground). */
  readonly detached: boolean;
}

export interface Created {
  readonly state: ContainerState;
  readonly stub: Stub;
}

export function createContainer(o: CreateOptions, globals: GlobalOptions): Created {
  checkId(o.id);
  const bundle = loadBundle(o.id, o.bundle, 'host', globals);
  for (const w of bundle.warnings) warn(w);
  checkConsole(o, bundle.config.process.terminal);
  // Engines change the tree while the container runs (docker cp).
  bundle.exports[0]!.exclusive = bundle.config.exclusiveExports[0] = false;
  const states = new StateDir(globals.root);
  const locked = states.create(o.id);
  const creation = new Creation(o, globals, bundle, states, locked);
  try {
    return creation.run();
  } catch (e) {
    const failure = creation.explain(e);
    creation.undo();
    throw failure;
  } finally {
    creation.closeAll();
    locked.release();
  }
}

class Creation {
  private readonly o: CreateOptions;
  private readonly globals: GlobalOptions;
  private readonly bundle: Bundle;
  private readonly states: StateDir;
  private readonly locked: LockedContainer;
  private readonly member: Membership | null;
  private readonly open: number[] = [];
  private group: CgroupHandle | null = null;
  private figures: { names: string[]; fds: number[] } = { names: [], fds: [] };
  private stub: Stub | null = null;
  private hooksRan = false;

  constructor(
    o: CreateOptions,
    globals: GlobalOptions,
    bundle: Bundle,
    states: StateDir,
    locked: LockedContainer,
  ) {
    this.o = o;
    this.globals = globals;
    this.bundle = bundle;
    this.states = states;
    this.locked = locked;
    this.member = membership(states, bundle.annotations, bundle.namespaces);
    if (this.member !== null && bundle.config.linux?.timeOffsets) {
      throw new UserError('linux.timeOffsets: the containers of one sandbox have the same clocks');
    }
  }

  run(): Created {
    addNotifyDirectory(this.bundle, this.locked.dir);
    // Before anything is made that has to be removed again.
    this.locked.save(this.newState({ pid: 0, startTime: '' }));
    const { cgroupsPath, resources } = this.bundle;
    const { systemdCgroup: systemd, ignoreCgroups } = this.globals;
    if (!ignoreCgroups) this.group = makeGroups({ id: this.o.id, cgroupsPath, systemd, resources }, warn);
    if (this.group !== null) {
      this.figures = figureFds(this.group);
      this.figures.fds.forEach((f) => this.keep(f));
    }
    const stdio = this.stdio();
    const inherited = new Inherited();
    const options = this.commonOptions(inherited, stdio[0] !== 0);
    return this.member === null
      ? this.createSandbox(options, stdio, inherited)
      : this.createMember(this.member, options, stdio, inherited);
  }

  /** Those of the caller, or three times the new terminal. */
  private stdio(): [number, number, number] {
    const { consoleSocket } = this.o;
    if (consoleSocket === undefined) return [0, 1, 2];
    const slave = this.keep(openConsole(consoleSocket, this.bundle.config.process.consoleSize ?? null));
    return [slave, slave, slave];
  }

  private keep(fd: number): number {
    if (fd > 2) this.open.push(fd);
    return fd;
  }

  private commonOptions(inherited: Inherited, newTerminal: boolean): LauncherOptions {
    const { config, exports } = this.bundle;
    config.managed = true;
    const { listenFds } = this.o;
    config.preservedFds = this.preserved().length;
    if (listenFds > 0) config.process.env.push(`LISTEN_FDS=${listenFds}`, 'LISTEN_PID=1');
    config.figures = this.figures.names;
    config.report =
      this.member === null
        ? reportConfig(this.globals, 1 + this.figures.fds.length + config.preservedFds)
        : null;
    const view = stubView(config, exports);
    const fd = (own: number) => inherited.add(this.keep(own));
    const groups = this.group === null ? {} : groupOptions(this.group, 'sentry', fd);
    const place = networkPlace(this.bundle.namespaces);
    config.rawSockets = place.kind !== 'host' && mayUseRawSockets(config);
    return {
      ...launcherOptions(config, exports, this.globals, fd),
      ...groups,
      ...namespaceOptions(this.bundle, fd),
      view,
      network: place.kind === 'join' ? fd(place.fd) : place.kind,
      rawSockets: config.rawSockets,
      terminal: newTerminal,
      title: config.process.args,
      identity: identityOf(config.process),
    };
  }

  private createSandbox(
    options: LauncherOptions,
    stdio: readonly [number, number, number],
    inherited: Inherited,
  ): Created {
    const listener = listenIn(this.locked.dir);
    if (listener < 0) throw new UserError(`cannot make the control socket: ${errnoName(-listener)}`);
    const report = openSyscallReport(this.globals, this.o.id);
    const donatedFds = [
      this.keep(listener),
      ...this.figures.fds,
      ...this.preserved(),
      ...(report === null ? [] : [this.keep(report)]),
    ].map((f) => inherited.add(f));
    const stub = this.start({ ...options, donatedFds }, stdio, inherited);
    inContainer(() => stub.wait(MSG_CREATED));
    return this.finish(stub);
  }

  private createMember(
    { sandbox, shares }: Membership,
    options: LauncherOptions,
    stdio: readonly [number, number, number],
    inherited: Inherited,
  ): Created {
    const connection = this.keep(connectSandbox(this.states, sandbox, 60));
    const link = pair();
    if (typeof link === 'number') throw new UserError(`socketpair: ${errnoName(-link)}`);
    const [sentryEnd, goferEnd] = link.map((f) => this.keep(f)) as [number, number];
    const joinFd = inherited.add(connection);
    const goferLinkFd = inherited.add(goferEnd);
    const stub = this.start({ ...options, joinFd, goferLinkFd }, stdio, inherited);
    stub.wait(MSG_READY);
    const procs = this.group === null ? [] : memberProcsFds(this.group).map((f) => this.keep(f));
    this.bundle.config.groupProcs = procs.length;
    const fields = { config: this.bundle.config, shares };
    const fds = [sentryEnd, ...stdio, ...this.figures.fds, ...procs, ...this.preserved()];
    inContainer(() => requestOn(connection, 'member', this.o.id, fields, fds));
    return this.finish(stub);
  }

  private preserved(): number[] {
    return Array.from({ length: this.o.listenFds + this.o.preserveFds }, (_, i) => 3 + i);
  }

  /** From the start of the stub to the hooks. */
  private start(
    options: LauncherOptions,
    stdio: readonly [number, number, number],
    inherited: Inherited,
  ): Stub {
    const stub = Stub.spawn(options, stdio, inherited, this.o.detached);
    this.stub = stub;
    this.group?.startScope(stub.process.pid);
    this.locked.save(this.newState(stub.process));
    stub.go();
    stub.born();
    const state = this.newState(stub.process);
    this.locked.save(state);
    if (makesUserNamespace(this.bundle.namespaces)) {
      mapIds(stub.process.pid, this.bundle);
      stub.go();
    }
    stub.wait(MSG_PLACED);
    const { hooks, dir } = this.bundle;
    const shown = ociState(state, 'creating');
    this.hooksRan = true;
    runHooks('prestart', hooks.prestart, shown, { bundle: dir });
    runHooks('createRuntime', hooks.createRuntime, shown, { bundle: dir });
    if (hooks.createContainer.length > 0) {
      const { pid } = stub.process;
      const inside = { ...shown, pid: innerPid(pid) };
      const enter = { pid, flags: foreignNamespaces(pid) };
      runHooks('createContainer', hooks.createContainer, inside, { bundle: state.rootfs, enter });
    }
    stub.hooked();
    return stub;
  }

  private newState(stub: HostProcess): ContainerState {
    const { bundle, o, member, globals } = this;
    return {
      version: 1,
      ociVersion: bundle.ociVersion,
      id: o.id,
      bundle: bundle.dir,
      rootfs: bundle.exports[0]!.path,
      annotations: bundle.annotations,
      created: new Date().toISOString(),
      owner: ownerName(),
      sandbox: member === null ? o.id : member.sandbox.sandbox,
      stub,
      phase: 'creating',
      paused: false,
      execs: [],
      hooks: bundle.hooks,
      process: bundle.process,
      cgroup: this.group?.state ?? null,
      cgroupsPath: bundle.cgroupsPath,
      systemdCgroup: globals.systemdCgroup,
    };
  }

  private finish(stub: Stub): Created {
    const state: ContainerState = { ...this.locked.state, phase: 'created' };
    this.locked.save(state);
    stub.setOomScore(this.bundle.config.process.oomScoreAdj);
    if (this.o.pidfdSocket !== undefined) sendPidfd(this.o.pidfdSocket, stub.process.pid);
    // Last: whoever waits for the file takes the container for created.
    if (this.o.pidFile !== undefined) writeAtomically(this.o.pidFile, String(stub.process.pid), 0o644);
    stub.commit();
    return { state, stub };
  }

  /** What the kernel killed for lack of memory could not say why it ended. The words are a newer runc's. */
  explain(e: unknown): unknown {
    if (this.group === null || oomKills(this.group.state) === 0) return e;
    return new UserError(
      'unable to start container process: container init was OOM-killed (memory limit too low?)',
    );
  }

  undo(): void {
    this.stub?.abort();
    this.group?.remove();
    const state = this.hooksRan ? this.locked.state : null;
    this.locked.remove();
    // A hook that fails "MUST … stop the container, and continue the lifecycle at step 12": what hooks have set up has an end, too.
    if (state !== null) runPoststopHooks(state);
  }

  closeAll(): void {
    for (const fd of this.open) close(fd);
  }
}

/** runc's words for what goes wrong inside. */
function inContainer(f: () => unknown): void {
  try {
    f();
  } catch (e) {
    throw e instanceof UserError ? new UserError(`unable to start container process: ${e.message}`) : e;
  }
}

function ownerName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid!());
  }
}
