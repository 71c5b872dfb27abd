/**
 * Commands about the machine, and about the limits of containers. Only their options are here: what they do is loaded when
 * one of them is called.
 */
import { Command } from 'commander';
import type { GlobalOptions } from '../global-options.ts';
import { UserError } from '../user-error.ts';
import type { EventsOptions } from './events.ts';
import type { UpdateOptions } from './update.ts';

export function hostCommands(globals: () => GlobalOptions): Command[] {
  return [
    specCommand(),
    featuresCommand(),
    updateCommand(globals),
    eventsCommand(globals),
    doctorCommand(globals),
    installCommand(),
    uninstallCommand(),
    ...checkpointCommands(),
  ];
}

function specCommand(): Command {
  return new Command('spec')
    .description('write a config.json to start from')
    .option('-b, --bundle <dir>', 'directory that gets the config.json', '.')
    .option('--rootless', 'for a container that an ordinary user starts')
    .addHelpText(
      'after',
      `
The file is an example: a shell in the root file system DIR/rootfs, on a terminal, read-only, with its own namespaces.
Change process.args to what shall run. A config.json that is there already is left alone.

Examples:
  mkdir -p bundle/rootfs && docker export $(docker create busybox) | tar -C bundle/rootfs -x
  runsc-ts spec --bundle bundle
  runsc-ts run --bundle bundle my-container`,
    )
    .action(async (o: { bundle: string; rootless?: boolean }) => {
      (await import('./spec.ts')).writeSpec(o);
    });
}

function featuresCommand(): Command {
  return new Command('features')
    .description('print what of the runtime-spec is honoured, as JSON')
    .addHelpText(
      'after',
      `
The shape is that of the runtime-spec's features.md. Engines read it; so may people:
  runsc-ts features | grep -A9 '"namespaces"'`,
    )
    .action(async () => (await import('./features.ts')).printFeatures());
}

function updateCommand(globals: () => GlobalOptions): Command {
  return new Command('update')
    .description('change the limits of a container')
    .argument('<id>', 'name of the container')
    .option('-r, --resources <file>', 'take linux.resources as JSON from FILE, "-" for standard input')
    .option('--memory <size>', 'memory limit: 512m, 2g, bytes, -1 for none')
    .option('--memory-reservation <size>', 'soft limit of memory')
    .option('--memory-swap <size>', 'memory and swap together, -1 for no limit')
    .option('--kernel-memory <size>', 'accepted, without effect: the kernel has no such limit any more')
    .option('--kernel-memory-tcp <size>', 'limit of TCP buffers')
    .option('--cpu-quota <us>', 'CPU time per period')
    .option('--cpu-period <us>', 'length of the period')
    .option('--cpu-burst <us>', 'CPU time that may be saved up')
    .option('--cpu-share <weight>', 'weight among other containers')
    .option('--cpu-idle <n>', '1: run only when nobody else wants to')
    .option('--cpu-rt-period <us>', 'period of realtime scheduling')
    .option('--cpu-rt-runtime <us>', 'realtime CPU time per period')
    .option('--cpuset-cpus <list>', 'CPUs to run on: 0-2,4')
    .option('--cpuset-mems <list>', 'memory nodes to use')
    .option('--pids-limit <n>', 'most processes and threads, -1 for the default')
    .option('--blkio-weight <weight>', 'weight for block I/O, 10 to 1000')
    .option('--l3-cache-schema <schema>', 'refused: Intel RDT is not supported')
    .option('--mem-bw-schema <schema>', 'refused: Intel RDT is not supported')
    .addHelpText(
      'after',
      `
With --resources all other options are ignored. A field that is missing or 0 stays as it is.

Examples:
  runsc-ts update --memory 512m --pids-limit 200 my-container
  echo '{"cpu":{"quota":50000,"period":100000}}' | runsc-ts update --resources - my-container

Limits are those of the container's cgroup on the host; the number of processes is counted by the sandbox itself.`,
    )
    .action(async (id: string, o: UpdateOptions) => (await import('./update.ts')).update(id, o, globals()));
}

function eventsCommand(globals: () => GlobalOptions): Command {
  return new Command('events')
    .description('print figures and out-of-memory kills of a container, as lines of JSON')
    .argument('<id>', 'name of the container')
    .option('--stats', 'print the figures once')
    .option('--interval <time>', 'print figures so often: 5s, 500ms', '5s')
    .addHelpText(
      'after',
      `
Each line is {"type":"stats","id":…,"data":{…}} or {"type":"oom","id":…}; data is as runc's. Ends with the container.
Memory and processes are the guests'; CPU time includes what the sandbox's kernel used for them.

Examples:
  runsc-ts events --stats my-container
  runsc-ts events --interval 1s my-container`,
    )
    .action(async (id: string, o: EventsOptions) => (await import('./events.ts')).events(id, o, globals()));
}

function doctorCommand(globals: () => GlobalOptions): Command {
  return new Command('doctor')
    .description('check what sandboxes need of this machine, and say what to do')
    .option('--format <format>', '"text" or "json"', 'text')
    .addHelpText(
      'after',
      `
Looks at kernel, Node, seccomp, namespaces, cgroups, permissions and engines, and runs a command in a sandbox on each platform.
Exits with 1 if something is missing that sandboxes need; a "warn" is about what only some need.

Examples:
  runsc-ts doctor
  runsc-ts doctor --format json`,
    )
    .action(async (o: { format: string }) => (await import('./doctor.ts')).doctor(o.format, globals()));
}

const DAEMON_JSON = '/etc/docker/daemon.json';
const RUNTIME = 'runsc-ts';

function installCommand(): Command {
  return new Command('install')
    .description('make this program a runtime of Docker')
    .option('--config <file>', 'configuration of dockerd', DAEMON_JSON)
    .option('--runtime <name>', 'name of the runtime: docker run --runtime NAME', RUNTIME)
    .option('--default', 'make it the default runtime as well')
    .argument('[args...]', 'after "--": global options that dockerd passes each time')
    .addHelpText(
      'after',
      `
Changes only its own entry of "runtimes"; the file is replaced in one step. dockerd has to be told afterwards.

Examples:
  runsc-ts install && systemctl reload docker
  runsc-ts install --runtime runsc-ptrace -- --platform ptrace
  docker run --rm --runtime runsc-ts hello-world`,
    )
    .action(async (args: string[], o: { config: string; runtime: string; default?: boolean }) => {
      (await import('./install.ts')).install({ ...o, args });
    });
}

function uninstallCommand(): Command {
  return new Command('uninstall')
    .description('remove the entry that "install" made')
    .option('--config <file>', 'configuration of dockerd', DAEMON_JSON)
    .option('--runtime <name>', 'name of the runtime', RUNTIME)
    .addHelpText(
      'after',
      `
Containers that were made with the runtime cannot be started again without it: remove them first.

Example:
  runsc-ts uninstall && systemctl reload docker`,
    )
    .action(async (o: { config: string; runtime: string }) => (await import('./install.ts')).uninstall(o));
}

/** Saving a sandbox is no CRIU matter: its state is the sentry's. */
function checkpointCommands(): Command[] {
  const refuse = (what: string) => (): never => {
    throw new UserError(`${what} is not supported: the state of a sandbox cannot be saved yet`);
  };
  return [
    new Command('checkpoint').description('refused: the state of a sandbox cannot be saved'),
    new Command('restore').description('refused: the state of a sandbox cannot be saved'),
  ].map((c) =>
    c
      .argument('[id]', 'name of the container')
      .argument('[args...]', 'ignored')
      .allowUnknownOption()
      .addHelpText('after', '\nTo stop a container for a while, use "runsc-ts pause" and "runsc-ts resume".')
      .action(refuse(c.name())),
  );
}
