/** The command line. Global options stand before the command, as runc's do. */
import { Command, CommanderError } from 'commander';
import { exitNow } from '../sentry/host/spawn.ffi.ts';
import { doCommand } from './commands/do.ts';
import { helpSyscallsCommand } from './commands/help-syscalls.ts';
import { execCommand } from './commands/exec.ts';
import { hostCommands } from './commands/host-commands.ts';
import * as lifecycle from './commands/lifecycle.ts';
import { listCommand } from './commands/list.ts';
import { psCommand } from './commands/ps.ts';
import { runCommand } from './commands/run.ts';
import { checkGlobalOptions } from './global-options.ts';
import { fromGoFlags } from './go-flags.ts';
import { log, openLog } from './lifecycle/log.ts';
import { print, printError } from './output.ts';
import { fromRunsc, hintFor } from './runsc-options.ts';
import { isHostError, UserError } from './user-error.ts';
import { COMMIT, SPEC_VERSION, VERSION } from './version.ts';

const program = new Command('runsc-ts')
  .description('OCI runtime that runs containers under a user-space Linux kernel')
  // In the shape of runc's: engines parse it.
  .version(
    `runsc-ts version ${VERSION}\ncommit: ${COMMIT}\nspec: ${SPEC_VERSION}`,
    '-v, --version',
    'print the version',
  )
  .option('--platform <name>', 'how guest code is trapped: "systrap" or "ptrace"', 'systrap')
  .option(
    '--strace [calls]',
    'log system calls (all, or --strace=NAME,NAME) to the debug log or standard error',
  )
  .option('--systrap-patching <boolean>', 'let busy programs make system calls without a trap', 'true')
  .option('--debug-log <file>', 'append the sandbox’s log to FILE; %ID% in it stands for the container’s')
  .option(
    '--syscall-report <file>',
    'write to FILE, when the sandbox ends, which system calls its programs made, what failed, and what is not fully supported here; as JSON to FILE.json',
  )
  .option(
    '--host-uds <mode>',
    '"open": programs may connect to Unix sockets of the host in volumes, such as docker.sock',
    'none',
  )
  .option(
    '--overlay',
    'keep what containers write to their roots in memory; annotation dev.runsc-ts.root.overlay: "memory" or "none"',
  )
  .option('--root <dir>', 'directory for the state of containers')
  .option('--log <file>', 'append errors and warnings to FILE')
  .option('--log-format <format>', '"text" or "json"', 'text')
  .option('--debug', 'accepted, as engines pass it')
  .option('--systemd-cgroup', 'linux.cgroupsPath of config.json is in systemd’s form, SLICE:PREFIX:NAME')
  .option('--ignore-cgroups', 'make no control groups: limits of memory and CPU time are not in force')
  .option('--rootless <mode>', 'accepted, as engines pass it: it is found out')
  .option('--criu <path>', 'accepted, without effect')
  .enablePositionalOptions()
  .showHelpAfterError('(try "runsc-ts --help")')
  .addHelpText(
    'after',
    `
Examples:
  runsc-ts do -- uname -a                       one command over the host's files
  runsc-ts run --bundle /srv/bundle web         an OCI bundle
  runsc-ts --strace=openat do -- cat /etc/hostname
  runsc-ts doctor                               what this machine lacks
  runsc-ts help do                              more about a command
  runsc-ts help syscalls                        what is implemented, and with which gaps`,
  )
  .exitOverride();

const globals = () => checkGlobalOptions(program.opts());
for (const make of [
  doCommand,
  runCommand,
  lifecycle.createCommand,
  lifecycle.startCommand,
  lifecycle.stateCommand,
  lifecycle.killCommand,
  lifecycle.deleteCommand,
  lifecycle.pauseCommand,
  lifecycle.resumeCommand,
  lifecycle.waitCommand,
  execCommand,
  listCommand,
  psCommand,
]) {
  program.addCommand(make(globals));
}
for (const c of hostCommands(globals)) program.addCommand(c);
program.hook('preAction', () => openLog(globals().log));
program.helpCommand(false).addCommand(helpSyscallsCommand(program));
for (const c of program.commands) c.exitOverride().showHelpAfterError(`(try "runsc-ts ${c.name()} --help")`);

for (const c of [program, ...program.commands]) {
  c.configureOutput({ writeOut: print, writeErr: printError });
}

/** As runc says it. */
const NO_SUCH_COMMAND = 3;

const isUnknown = (command: string | undefined): boolean =>
  command !== undefined && !command.startsWith('-') && !program.commands.some((c) => c.name() === command);

async function main(): Promise<void> {
  try {
    const argv = process.argv.slice(2);
    const args = argv.length === 0 ? ['--help'] : fromGoFlags(program, fromRunsc(argv));
    await program.parseAsync(args, { from: 'user' });
  } catch (e) {
    if (e instanceof CommanderError) {
      const hint = e.code === 'commander.unknownOption' ? hintFor(process.argv.slice(2)) : null;
      if (hint !== null) printError(`${hint}\n`);
      process.exitCode = isUnknown(program.args[0]) ? NO_SUCH_COMMAND : e.exitCode;
    } else if (e instanceof UserError || isHostError(e)) {
      log('error', e.message);
      printError(`runsc-ts: ${e.message}\n`);
      process.exitCode = e instanceof UserError ? e.exitCode : 1;
    } else {
      log('error', `internal error: ${String(e)}`);
      printError(`runsc-ts: internal error: ${(e as Error).stack ?? String(e)}\n`);
      process.exitCode = 134;
    }
  }
}

process.on('exit', exitNow);
// Nothing is left to do then: output is written, children that go on have been let go.
void main().then(() => process.exit());
