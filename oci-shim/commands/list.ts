/** `list` and `ps`: containers, and the host's processes that stand for those of one container. */
import { spawnSync } from 'node:child_process';
import { Command } from 'commander';
import type { GlobalOptions } from '../global-options.ts';
import { shownState } from '../state/container-state.ts';
import { isAlive } from '../state/host-process.ts';
import { StateDir } from '../state/state-dir.ts';
import { UserError } from '../user-error.ts';
import { print } from '../output.ts';

function checkFormat(format: string): void {
  if (format !== 'table' && format !== 'json') throw new UserError('invalid format option');
}

/** Go's JSON of an empty list is `null`, which readers of runc's know. */
const json = (list: readonly unknown[]): string => `${list.length === 0 ? 'null' : JSON.stringify(list)}\n`;

export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, i) => Math.max(12, ...rows.map((r) => r[i]!.length + 3)));
  return rows
    .map(
      (r) =>
        `${r
          .map((c, i) => c.padEnd(widths[i]!))
          .join('')
          .trimEnd()}\n`,
    )
    .join('');
}

export function listCommand(globals: () => GlobalOptions): Command {
  return new Command('list')
    .description('list containers')
    .addHelpText('after', '\nExamples:\n  runsc-ts list\n  runsc-ts list --quiet | xargs -n1 runsc-ts state')
    .option('-f, --format <format>', '"table" or "json"', 'table')
    .option('-q, --quiet', 'ids only', false)
    .action((f: { format: string; quiet: boolean }) => {
      checkFormat(f.format);
      const all = new StateDir(globals().root).list().map(shownState);
      if (f.quiet) print(all.map((s) => `${s.id}\n`).join(''));
      else if (f.format === 'json') print(json(all));
      else {
        const rows = all.map((s) => [s.id, String(s.pid), s.status, s.bundle, s.created, s.owner]);
        print(table([['ID', 'PID', 'STATUS', 'BUNDLE', 'CREATED', 'OWNER'], ...rows]));
      }
    });
}

export function psCommand(globals: () => GlobalOptions): Command {
  return new Command('ps')
    .description('list the host processes of a container: its stub, and those of its execs')
    .option('-f, --format <format>', '"table" or "json"', 'table')
    .argument('<id>', 'name of the container')
    .argument('[args...]', 'of ps(1), for the table')
    .passThroughOptions()
    .addHelpText('after', '\nExample:\n  runsc-ts ps my-container -o pid,user,args')
    .action((id: string, args: string[], f: { format: string }) => {
      checkFormat(f.format);
      const s = new StateDir(globals().root).load(id);
      const pids = [s.stub, ...s.execs].filter(isAlive).map((p) => p.pid);
      if (f.format === 'json') print(json(pids));
      else print(psTable(pids, args.length === 0 ? ['-ef'] : args));
    });
}

/** Lines of ps(1) about `pids`, found by its column PID. */
function psTable(pids: readonly number[], args: readonly string[]): string {
  const ps = spawnSync('ps', args, { encoding: 'utf8' });
  if (ps.status !== 0) throw new UserError(ps.error?.message ?? `exit status ${ps.status}: ${ps.stderr}`);
  const lines = ps.stdout.trimEnd().split('\n');
  const column = lines[0]!.trim().split(/\s+/).indexOf('PID');
  if (column < 0) throw new UserError('ps: its output has no column PID');
  const own = lines.slice(1).filter((l) => pids.includes(Number(l.trim().split(/\s+/)[column])));
  return `${[lines[0]!, ...own].join('\n')}\n`;
}
