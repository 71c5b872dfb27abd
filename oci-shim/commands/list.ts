/** `list`: containers, with their states. */
import { Command } from 'commander';
import type { GlobalOptions } from '../global-options.ts';
import { shownState } from '../state/container-state.ts';
import { StateDir } from '../state/state-dir.ts';
import { UserError } from '../user-error.ts';
import { print } from '../output.ts';

export function checkFormat(format: string): void {
  if (format !== 'table' && format !== 'json') throw new UserError('invalid format option');
}

/** Go's JSON of an empty list is `null`, which readers of runc's know. */
export const json = (list: readonly unknown[]): string =>
  `${list.length === 0 ? 'null' : JSON.stringify(list)}\n`;

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
