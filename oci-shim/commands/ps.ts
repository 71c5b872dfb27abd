/** `ps`: the processes of a container, as its kernel knows them or as the host does. */
import { spawnSync } from 'node:child_process';
import { Command } from 'commander';
import { major, minor } from '../../sentry/abi/device.ts';
import { controlCall, SandboxGone } from '../control/client.ts';
import type { GlobalOptions } from '../global-options.ts';
import type { ShownProcess } from '../sandbox/process-list.ts';
import type { ContainerState } from '../state/container-state.ts';
import { isAlive } from '../state/host-process.ts';
import { StateDir } from '../state/state-dir.ts';
import { UserError } from '../user-error.ts';
import { print } from '../output.ts';
import { checkFormat, json } from './list.ts';

export function psCommand(globals: () => GlobalOptions): Command {
  return new Command('ps')
    .description('list the processes of a container')
    .option('-f, --format <format>', '"table" or "json"', 'table')
    .argument('<id>', 'name of the container')
    .argument('[args...]', 'of ps(1), for a table of the host’s processes')
    .passThroughOptions()
    .addHelpText(
      'after',
      `
The table has the columns of "ps -ef", with the numbers that processes and users have inside. JSON, and a table with options of
ps(1), are about the host's processes that stand for the container's: the stub of the first one, and those of its execs.

Examples:
  runsc-ts ps my-container
  runsc-ts ps my-container -o pid,user,args`,
    )
    .action((id: string, args: string[], f: { format: string }) => {
      checkFormat(f.format);
      const states = new StateDir(globals().root);
      const s = states.load(id);
      const pids = [s.stub, ...s.execs].filter(isAlive).map((p) => p.pid);
      if (f.format === 'json') print(json(pids));
      else print(args.length === 0 ? guestTable(guests(states, s)) : hostTable(pids, args));
    });
}

/** None of a container that has ended. */
function guests(states: StateDir, state: ContainerState): ShownProcess[] {
  const all: ShownProcess[] = [];
  if (!isAlive(state.stub)) return all;
  try {
    for (;;) {
      const after = all.at(-1)?.pid ?? 0;
      const { processes } = controlCall(states, state, 'processes', { after });
      const next = processes as ShownProcess[];
      if (next.length === 0) return all;
      all.push(...next);
    }
  } catch (e) {
    if (e instanceof SandboxGone) return [];
    throw e;
  }
}

/** As ps(1) prints `-ef`. */
function guestTable(processes: readonly ShownProcess[]): string {
  const rows = processes.map((p) => {
    const percent = Math.min(99, Math.floor((100 * p.cpuNs) / Math.max(1, p.ageNs)));
    return [
      String(p.uid).padEnd(8),
      String(p.pid).padStart(7),
      String(p.ppid).padStart(7),
      String(percent).padStart(2),
      startTime(p.ageNs).padEnd(5),
      ttyName(p.tty).padEnd(8),
      duration(p.cpuNs),
      printable(p.command),
    ].join(' ');
  });
  const head = 'UID          PID    PPID  C STIME TTY          TIME CMD';
  return `${[head, ...rows].join('\n')}\n`;
}

/** Of today the time of day, of this year the day. */
function startTime(ageNs: number): string {
  const now = new Date();
  const start = new Date(now.getTime() - ageNs / 1e6);
  const two = (n: number): string => String(n).padStart(2, '0');
  if (start.toDateString() === now.toDateString())
    return `${two(start.getHours())}:${two(start.getMinutes())}`;
  if (start.getFullYear() !== now.getFullYear()) return String(start.getFullYear());
  return start.toDateString().slice(4, 10).replace(' ', '');
}

/** UNIX98_PTY_SLAVE_MAJOR (devices.txt) */
const PTS_MAJOR = 136;

function ttyName(rdev: number): string {
  return major(rdev) === PTS_MAJOR ? `pts/${minor(rdev)}` : '?';
}

function duration(ns: number): string {
  const s = Math.floor(ns / 1e9);
  const parts = [Math.floor(s / 3600), Math.floor(s / 60) % 60, s % 60];
  return parts.map((n) => String(n).padStart(2, '0')).join(':');
}

/** Guests choose their arguments: nothing that a terminal would obey. */
function printable(command: string): string {
  return Buffer.from(command, 'latin1')
    .toString()
    .replace(/\p{Cc}/gu, '?');
}

/** Lines of ps(1) about `pids`, found by its column PID. */
function hostTable(pids: readonly number[], args: readonly string[]): string {
  const ps = spawnSync('ps', args, { encoding: 'utf8' });
  if (ps.status !== 0) throw new UserError(ps.error?.message ?? `exit status ${ps.status}: ${ps.stderr}`);
  const lines = ps.stdout.trimEnd().split('\n');
  const column = lines[0]!.trim().split(/\s+/).indexOf('PID');
  if (column < 0) throw new UserError('ps: its output has no column PID');
  const own = lines.slice(1).filter((l) => pids.includes(Number(l.trim().split(/\s+/)[column])));
  return `${[lines[0]!, ...own].join('\n')}\n`;
}
