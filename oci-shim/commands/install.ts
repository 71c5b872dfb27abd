/** `runsc-ts install` and `uninstall`: the entry of the runtime in Docker's daemon.json, as `runsc install` edits it. */
import { mkdirSync, readFileSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { nativeDir } from '../../sentry/host/koffi.ffi.ts';
import { UserError } from '../user-error.ts';
import { print } from '../output.ts';

export interface InstallOptions {
  config: string;
  runtime: string;
  default?: boolean;
  /** Global options that dockerd is to pass before each command. */
  args: readonly string[];
}

/** What dockerd knows of a runtime. */
interface RuntimeEntry {
  path: string;
  runtimeArgs?: string[];
}

type Daemon = Record<string, unknown> & {
  runtimes?: Record<string, RuntimeEntry>;
  'default-runtime'?: string;
};

const NAME_PATTERN = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
/** Built into dockerd: an entry for them is refused, and stops it from starting. */
const RESERVED = ['runc', 'io.containerd.runc.v2'];

export function install(o: InstallOptions): void {
  checkName(o.runtime);
  const { daemon, file } = read(o.config);
  const entry: RuntimeEntry = {
    path: realpathSync(join(nativeDir, 'runsc-ts')),
    ...(o.args.length === 0 ? {} : { runtimeArgs: [...o.args] }),
  };
  const before = daemon.runtimes?.[o.runtime];
  const hadDefault = daemon['default-runtime'];
  daemon.runtimes = { ...daemon.runtimes, [o.runtime]: entry };
  if (o.default === true) daemon['default-runtime'] = o.runtime;
  const unchanged =
    JSON.stringify(before) === JSON.stringify(entry) && daemon['default-runtime'] === hadDefault;
  if (unchanged) {
    say(`Runtime ${o.runtime} is in ${o.config} already.`);
    return;
  }
  write(o.config, daemon, file);
  say(`${before === undefined ? 'Added' : 'Changed'} runtime ${o.runtime} (${entry.path}) in ${o.config}.`);
  say('Next: have dockerd read it, then try it:');
  say('  systemctl reload docker        (or: kill -HUP $(pidof dockerd))');
  say(`  docker run --rm --runtime ${o.runtime} hello-world`);
}

export function uninstall(o: { config: string; runtime: string }): void {
  checkName(o.runtime);
  const { daemon, file } = read(o.config);
  if (daemon.runtimes?.[o.runtime] === undefined) {
    throw new UserError(`${o.config} has no runtime "${o.runtime}"`);
  }
  const { [o.runtime]: removed, ...rest } = daemon.runtimes;
  if (Object.keys(rest).length === 0) delete daemon.runtimes;
  else daemon.runtimes = rest;
  const wasDefault = daemon['default-runtime'] === o.runtime;
  if (wasDefault) delete daemon['default-runtime'];
  write(o.config, daemon, file);
  say(`Removed runtime ${o.runtime} (${removed!.path}) from ${o.config}.`);
  if (wasDefault) say('It was the default runtime: that is runc again.');
  say('Next: remove containers that were made with it, then have dockerd read the file:');
  say('  systemctl reload docker        (or: kill -HUP $(pidof dockerd))');
}

const say = (line: string): void => void print(`${line}\n`);

function checkName(name: string): void {
  if (!NAME_PATTERN.test(name)) {
    throw new UserError(`--runtime ${name}: may hold letters, digits and _ . - only`);
  }
  if (RESERVED.includes(name)) throw new UserError(`--runtime ${name}: dockerd keeps this name for itself`);
}

interface DaemonFile {
  mode: number;
  indent: string;
}

function read(path: string): { daemon: Daemon; file: DaemonFile } {
  const file: DaemonFile = { mode: 0o644, indent: '    ' };
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
    file.mode = statSync(path).mode & 0o777;
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code === 'ENOENT') return { daemon: {}, file };
    throw new UserError(`cannot read ${path}: ${(e as NodeJS.ErrnoException).code}`);
  }
  if (text.trim() === '') return { daemon: {}, file };
  file.indent = /^([ \t]+)"/m.exec(text)?.[1] ?? file.indent;
  let daemon: unknown;
  try {
    daemon = JSON.parse(text);
  } catch (e) {
    throw new UserError(`${path} is not JSON, nothing was changed: ${(e as Error).message}`);
  }
  const isObject = (v: unknown): boolean => typeof v === 'object' && v !== null && !Array.isArray(v);
  if (!isObject(daemon)) throw new UserError(`${path}: must hold a JSON object, nothing was changed`);
  const { runtimes } = daemon as Daemon;
  if (runtimes !== undefined && !isObject(runtimes)) {
    throw new UserError(`${path}: "runtimes" must be an object, nothing was changed`);
  }
  return { daemon: daemon as Daemon, file };
}

/** In one step: dockerd never sees half a file. A link keeps pointing to the file. */
function write(path: string, daemon: Daemon, file: DaemonFile): void {
  let target = path;
  try {
    target = realpathSync(path);
  } catch {
    // It is not there yet.
  }
  const tmp = join(dirname(target), `.${basename(target)}.${process.pid}.tmp`);
  try {
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(tmp, `${JSON.stringify(daemon, null, file.indent)}\n`, { flag: 'wx', mode: file.mode });
    renameSync(tmp, target);
  } catch (e) {
    rmSync(tmp, { force: true });
    const { code } = e as NodeJS.ErrnoException;
    const hint = code === 'EACCES' || code === 'EPERM' ? ' (try it as root)' : '';
    throw new UserError(`cannot write ${path}: ${code}${hint}`);
  }
}
