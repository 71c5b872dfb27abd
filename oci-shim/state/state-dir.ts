/**
 * STATEDIR/ID/ for each container: state.json (replaced atomically), lock, and the sandbox's control socket. A directory
 * that is there is a container; its lock is held by whoever changes it.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { renameExchange } from '../../sentry/host/sys.ffi.ts';
import { printError } from '../output.ts';
import { UserError } from '../user-error.ts';
import { statusOf, type ContainerState } from './container-state.ts';
import { FileLock } from './lock.ts';

const ID_PATTERN = /^[\w+.-]+$/;
/** Names of a directory and of groups are made of it. */
const ID_MAX = 240;

export function checkId(id: string): void {
  if (!ID_PATTERN.test(id) || id === '.' || id === '..' || id.length > ID_MAX) {
    throw new UserError(`invalid container ID format: ${JSON.stringify(id)}`);
  }
}

/** runc's words, by which engines know that there is nothing to delete. */
export class NoSuchContainer extends UserError {
  constructor() {
    super('container does not exist');
  }
}

export class StateDir {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  pathOf(id: string): string {
    return join(this.root, id);
  }

  private makeRoot(): void {
    try {
      mkdirSync(this.root, { recursive: true, mode: 0o711 });
    } catch (e) {
      const { code } = e as NodeJS.ErrnoException;
      throw new UserError(
        `cannot make the state directory ${this.root} (${code}): name another one, --root DIR`,
      );
    }
  }

  /** Makes the directory of a new container and takes its lock. Preconditions: checkId(id). */
  create(id: string): LockedContainer {
    const dir = this.pathOf(id);
    this.makeRoot();
    try {
      mkdirSync(dir, { mode: 0o700 });
    } catch (e) {
      if ((e as NodeJS.ErrnoException).code !== 'EEXIST') throw e;
      this.removeLeftover(id);
      mkdirSync(dir, { mode: 0o700 });
    }
    writeFileSync(join(dir, 'lock'), '', { mode: 0o600 });
    const lock = FileLock.take(join(dir, 'lock'));
    if (lock === null) throw new UserError(`${dir} was removed by somebody else`);
    return new LockedContainer(dir, lock);
  }

  /** A create that was killed leaves a directory whose stub, if there ever was one, is dead. */
  private removeLeftover(id: string): void {
    const exists = (): never => {
      throw new UserError(`container with given ID already exists: ${id}`);
    };
    const dir = this.pathOf(id);
    const lock = FileLock.take(join(dir, 'lock'));
    const state = readState(dir);
    if (state !== null && !isLeftover(state)) exists();
    removeDir(dir);
    lock?.release();
  }

  /** Removes a directory in which a create was killed before it wrote anything down. */
  removeEmpty(id: string): void {
    checkId(id);
    const dir = this.pathOf(id);
    if (!existsSync(dir)) return;
    const lock = FileLock.take(join(dir, 'lock'));
    if (readState(dir) === null) removeDir(dir);
    lock?.release();
  }

  load(id: string): ContainerState {
    checkId(id);
    const state = readState(this.pathOf(id));
    if (state === null) throw new NoSuchContainer();
    return state;
  }

  /** Loads a container and keeps others from changing it until `release`. */
  lock(id: string): LockedContainer {
    checkId(id);
    const dir = this.pathOf(id);
    const lock = FileLock.take(join(dir, 'lock'));
    if (lock === null) throw new NoSuchContainer();
    const state = readState(dir);
    if (state === null) {
      lock.release();
      throw new NoSuchContainer();
    }
    return new LockedContainer(dir, lock, state);
  }

  /** Runs `f` with the locked container. */
  withLock<T>(id: string, f: (c: LockedContainer) => T): T {
    const c = this.lock(id);
    try {
      return f(c);
    } finally {
      c.release();
    }
  }

  /**
   * All containers, by id. Those that vanish meanwhile are left out, and so are those of other runtimes: containerd's shim
   * gives every runtime the same directory unless it is told otherwise. A damaged one is named on stderr, as by runc.
   */
  list(): ContainerState[] {
    let names: string[];
    try {
      names = readdirSync(this.root).sort();
    } catch {
      return [];
    }
    const found: ContainerState[] = [];
    for (const name of names) {
      try {
        const state = parseState(join(this.root, name));
        if (state?.version === 1) found.push(state as ContainerState);
      } catch (e) {
        if (!(e instanceof UserError)) throw e;
        printError(`runsc-ts: ${e.message}\n`);
      }
    }
    return found;
  }
}

/** Preconditions: the lock is held, so whoever was creating the container is gone. */
export function isLeftover(state: ContainerState): boolean {
  return state.phase === 'creating' && (state.stub.pid === 0 || statusOf(state) === 'stopped');
}

export class LockedContainer {
  readonly dir: string;
  private readonly lock: FileLock;
  private current: ContainerState | null;

  constructor(dir: string, lock: FileLock, state: ContainerState | null = null) {
    this.dir = dir;
    this.lock = lock;
    this.current = state;
  }

  get state(): ContainerState {
    if (this.current === null) throw new Error(`${this.dir} has no state yet`);
    return this.current;
  }

  /** Replaces state.json in one step. */
  save(state: ContainerState): void {
    this.current = state;
    writeAtomically(join(this.dir, 'state.json'), JSON.stringify(state));
  }

  /** Frees the id. */
  remove(): void {
    removeDir(this.dir);
  }

  release(): void {
    this.lock.release();
  }
}

/** A container's directory. It may be gone already. */
function removeDir(dir: string): void {
  try {
    for (const e of readdirSync(dir, { withFileTypes: true })) {
      if (e.isDirectory()) removeDir(join(dir, e.name));
      else unlinkSync(join(dir, e.name));
    }
    rmdirSync(dir);
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code !== 'ENOENT') throw e;
  }
}

export function writeAtomically(path: string, text: string, mode = 0o600): void {
  const tmp = `${path}.${process.pid}.tmp`;
  writeFileSync(tmp, text, { mode });
  // ext4 writes a file to the disk before it lets it replace another by rename(2), not if the two change places.
  if (renameExchange(tmp, path) === 0) unlinkSync(tmp);
  else renameSync(tmp, path);
}

function readState(dir: string): ContainerState | null {
  const state = parseState(dir);
  if (state === null || state.version === 1) return state as ContainerState | null;
  throw new UserError(`${dir}/state.json is of another runtime, or of another version of runsc-ts`);
}

function parseState(dir: string): ContainerState | { version?: unknown } | null {
  let text: string;
  try {
    text = readFileSync(join(dir, 'state.json'), 'utf8');
  } catch {
    return null;
  }
  try {
    return JSON.parse(text) as ContainerState;
  } catch {
    throw new UserError(
      `${dir}/state.json is damaged: when nothing of the container runs any more, remove ${dir}`,
    );
  }
}
