/** `runsc-ts help [COMMAND]` and `runsc-ts help syscalls [--format table|json]`. */
import { Command } from 'commander';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { nativeDir } from '../../sentry/host/koffi.ffi.ts';
import type { SyscallDoc } from '../../syscalls/docs.ts';
import { UserError } from '../user-error.ts';
import { print } from '../output.ts';

export function helpSyscallsCommand(program: Command): Command {
  return new Command('help')
    .description('show help for a command, or the table of system calls: help syscalls')
    .argument('[topic]', 'a command, or "syscalls"')
    .option('--format <format>', 'of "syscalls": "table" or "json"', 'table')
    .action((topic: string | undefined, options: { format: string }) => {
      if (topic === 'syscalls') {
        printSyscalls(options.format);
        return;
      }
      const command = topic === undefined ? program : program.commands.find((c) => c.name() === topic);
      if (command === undefined) throw new UserError(`help ${topic}: no such command`);
      command.outputHelp();
    });
}

function printSyscalls(format: string): void {
  // Made from the table by the build: the kernel itself is not part of the command line's bundle.
  const docs = JSON.parse(readFileSync(join(nativeDir, 'syscalls.json'), 'utf8')) as SyscallDoc[];
  if (format === 'json') {
    print(`${JSON.stringify(docs, null, 2)}\n`);
  } else if (format === 'table') {
    for (const d of docs) {
      print(
        `${String(d.nr).padStart(4)}  ${d.name.padEnd(26)} ${d.support.padEnd(8)} ${d.note}`.trimEnd() + '\n',
      );
    }
  } else {
    throw new UserError(`--format ${format}: must be "table" or "json"`);
  }
}
