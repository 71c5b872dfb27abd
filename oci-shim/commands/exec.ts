/** `runsc-ts exec`: one more process in a container, from a process.json or from options. */
import { join } from 'node:path';
import { Command } from 'commander';
import type { GlobalOptions } from '../global-options.ts';
import { execConfig, execProcess, readObject } from '../lifecycle/exec.ts';
import type { ContainerState } from '../state/container-state.ts';
import { StateDir } from '../state/state-dir.ts';
import { isHostError, UserError } from '../user-error.ts';
import { parsePreservedFds } from './preserved-fds.ts';

interface ExecFlags {
  process?: string;
  tty: boolean;
  user?: string;
  env: string[];
  cwd?: string;
  cap: string[];
  additionalGids: string[];
  noNewPrivs: boolean;
  detach: boolean;
  pidFile?: string;
  consoleSocket?: string;
  pidfdSocket?: string;
  preserveFds: number;
  cgroup: string[];
  ignorePaused: boolean;
}

const collect = (value: string, all: string[]): string[] => [...all, value];
/** What runc exits with if the process could not be started. */
const EXEC_FAILED = 255;

export function execCommand(globals: () => GlobalOptions): Command {
  return new Command('exec')
    .description('run one more process in a container')
    .option('-p, --process <file>', 'process.json: everything about the process')
    .option('-t, --tty', 'give it a terminal', false)
    .option('-u, --user <uid[:gid]>', 'user and group')
    .option('-e, --env <name=value>', 'set an environment variable; repeatable', collect, [])
    .option('--cwd <dir>', 'working directory')
    .option('-c, --cap <capability>', 'add a capability; repeatable', collect, [])
    .option('-g, --additional-gids <gid>', 'add a group; repeatable', collect, [])
    .option('--no-new-privs', 'set no_new_privs')
    .option('-d, --detach', 'return when the process runs', false)
    .option('--pid-file <file>', 'write the pid of the process’s stub to FILE')
    .option('--console-socket <path>', 'send the terminal’s master to this socket')
    .option('--pidfd-socket <path>', 'send a pidfd of the process’s stub to this socket')
    .option('--preserve-fds <n>', 'pass N descriptors beside the standard streams', parsePreservedFds, 0)
    .option('--apparmor <profile>', 'accepted, without effect')
    .option('--process-label <label>', 'accepted, without effect')
    .option(
      '--cgroup <group>',
      'an existing group below the container’s, as its programs see it: [CONTROLLER:]GROUP',
      collect,
      [],
    )
    .option('--ignore-paused', 'also in a paused container; it runs when that is resumed', false)
    .argument('<id>', 'name of the container')
    .argument('[command...]', 'program and its arguments')
    .passThroughOptions()
    .addHelpText(
      'after',
      `
Options come before the name of the container. What is not given is as config.json says of the container's first program.
The exit status is the program's; 255 if it could not be started.

Examples:
  runsc-ts exec --tty my-container sh
  runsc-ts exec --user 1000:1000 --env DEBUG=1 my-container id`,
    )
    .action((id: string, args: string[], f: ExecFlags) => {
      const states = new StateDir(globals().root);
      try {
        const state = states.load(id);
        const base =
          f.process === undefined ? fromFlags(configured(state), args, f) : fromFile(state, f.process, f);
        const { pidFile, consoleSocket, pidfdSocket, preserveFds, detach, ignorePaused } = f;
        const target = { pidFile, consoleSocket, pidfdSocket, preserveFds, detached: detach, ignorePaused };
        const process = execConfig(state, base);
        execProcess(states, state, { id, process, groups: f.cgroup, ...withoutUndefined(target) });
      } catch (e) {
        if (!(e instanceof UserError) && !isHostError(e)) throw e;
        throw new UserError(`exec failed: ${e.message}`, EXEC_FAILED);
      }
    });
}

function withoutUndefined<T extends object>(o: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(o).filter(([, v]) => v !== undefined)) as never;
}

/** Without capabilities of its own it has the container's. The option wins over the file, as in runc: Podman gives both. */
function fromFile(state: ContainerState, file: string, f: ExecFlags): Record<string, unknown> {
  const given = readObject(file);
  const capabilities = given['capabilities'] ?? state.process['capabilities'];
  return { ...given, capabilities, ...(f.tty ? { terminal: true } : {}) };
}

/** `process` of config.json as it is now, as runc reads it. */
function configured(state: ContainerState): Record<string, unknown> {
  const { process } = readObject(join(state.bundle, 'config.json'));
  return (process ?? {}) as Record<string, unknown>;
}

function fromFlags(base: Record<string, unknown>, args: string[], f: ExecFlags): Record<string, unknown> {
  if (args.length === 0) throw new UserError('process args cannot be empty');
  const user = { ...(base['user'] as object | undefined) } as Record<string, unknown>;
  if (f.user !== undefined) {
    const [, uid, gid] = /^([^:]*)(?::(.*))?$/s.exec(f.user)!;
    user['uid'] = id(f.user, uid);
    if (gid !== undefined) user['gid'] = id(f.user, gid);
  }
  if (f.additionalGids.length > 0) {
    const groups = (user['additionalGids'] as number[] | undefined) ?? [];
    user['additionalGids'] = [...groups, ...f.additionalGids.map((g) => id(g, g))];
  }
  return {
    ...base,
    args,
    user,
    env: [...((base['env'] as string[] | undefined) ?? []), ...f.env],
    cwd: f.cwd ?? base['cwd'],
    terminal: f.tty,
    capabilities: withCaps(base['capabilities'], f.cap),
    // Commander's --no-… options are named without it, and are true unless given.
    noNewPrivileges: base['noNewPrivileges'] === true || (f as { newPrivs?: boolean }).newPrivs === false,
  };
}

function id(shown: string, text: string | undefined): number {
  if (text === undefined || !/^\d+$/.test(text)) throw new UserError(`${shown}: must be UID or UID:GID`);
  return Number(text);
}

function withCaps(base: unknown, added: readonly string[]): unknown {
  if (added.length === 0) return base;
  const sets = { ...(base as Record<string, string[]> | undefined) };
  for (const kind of ['bounding', 'effective', 'permitted']) {
    sets[kind] = [...new Set([...(sets[kind] ?? []), ...added])];
  }
  return sets;
}
