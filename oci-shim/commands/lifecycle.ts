/** The commands by which engines manage containers: create, start, state, kill, delete, pause, resume, wait. */
import { Command } from 'commander';
import type { GlobalOptions } from '../global-options.ts';
import { controlCall } from '../control/client.ts';
import { createContainer } from '../lifecycle/create.ts';
import {
  deleteContainer,
  killContainer,
  pauseContainer,
  resumeContainer,
  startAndNotify,
} from '../lifecycle/manage.ts';
import { parseSignal } from '../lifecycle/signals.ts';
import { shownState } from '../state/container-state.ts';
import { StateDir } from '../state/state-dir.ts';
import { print } from '../output.ts';
import { listenFds, parsePreservedFds } from './preserved-fds.ts';

export interface CreateFlags {
  bundle: string;
  pidFile?: string;
  consoleSocket?: string;
  pidfdSocket?: string;
  preserveFds: number;
}

/** Options of `create` and `run`; those that have no meaning in a sandbox are accepted, as engines pass them. */
export function withCreateOptions(c: Command): Command {
  return c
    .option('-b, --bundle <dir>', 'directory with config.json and the root file system', '.')
    .option('--pid-file <file>', 'write the pid of the container’s stub to FILE')
    .option('--console-socket <path>', 'send the terminal’s master to this socket')
    .option('--preserve-fds <n>', 'pass N descriptors beside the standard streams', parsePreservedFds, 0)
    .option('--pidfd-socket <path>', 'send a pidfd of the container’s stub to this socket')
    .option('--no-pivot', 'accepted, without effect')
    .option('--no-new-keyring', 'accepted, without effect')
    .argument('<id>', 'name of the container');
}

export function createCommand(globals: () => GlobalOptions): Command {
  return withCreateOptions(new Command('create'))
    .description('create a container from an OCI bundle; "start" runs it')
    .addHelpText(
      'after',
      `
A program that wants a terminal (process.terminal of config.json) gets one by --console-socket; "run" needs none.

Example:
  runsc-ts create --bundle /srv/bundle my-container && runsc-ts start my-container
  runsc-ts wait my-container && runsc-ts delete my-container`,
    )
    .action((id: string, f: CreateFlags) => {
      createContainer({ id, ...f, listenFds: listenFds(process.env), detached: true }, globals());
    });
}

export function startCommand(globals: () => GlobalOptions): Command {
  return new Command('start')
    .description('run the program of a created container')
    .argument('<id>', 'name of the container')
    .action((id: string) => startAndNotify(new StateDir(globals().root), id));
}

export function killCommand(globals: () => GlobalOptions): Command {
  return new Command('kill')
    .description('send a signal to the container’s first process')
    .option('-a, --all', 'to all of its processes', false)
    .argument('<id>', 'name of the container')
    .argument('[signal]', 'name or number', 'TERM')
    .addHelpText(
      'after',
      '\nExamples:\n  runsc-ts kill my-container\n  runsc-ts kill --all my-container KILL',
    )
    .action((id: string, signal: string, f: { all: boolean }) =>
      killContainer(new StateDir(globals().root), id, parseSignal(signal || 'TERM'), f.all),
    );
}

export function deleteCommand(globals: () => GlobalOptions): Command {
  return new Command('delete')
    .description('free what belongs to a stopped container')
    .addHelpText('after', '\nExample:\n  runsc-ts delete --force my-container')
    .option('-f, --force', 'kill it first if it still runs', false)
    .argument('<id>', 'name of the container')
    .action((id: string, f: { force: boolean }) =>
      deleteContainer(new StateDir(globals().root), id, f.force),
    );
}

export function pauseCommand(globals: () => GlobalOptions): Command {
  return new Command('pause')
    .description('suspend all processes of a container')
    .argument('<id>', 'name of the container')
    .action((id: string) => pauseContainer(new StateDir(globals().root), id));
}

export function resumeCommand(globals: () => GlobalOptions): Command {
  return new Command('resume')
    .description('let a paused container go on')
    .argument('<id>', 'name of the container')
    .action((id: string) => resumeContainer(new StateDir(globals().root), id));
}

export function stateCommand(globals: () => GlobalOptions): Command {
  return new Command('state')
    .description('print the state of a container as JSON')
    .argument('<id>', 'name of the container')
    .action((id: string) => {
      const s = new StateDir(globals().root).load(id);
      print(`${JSON.stringify(shownState(s), null, 2)}\n`);
    });
}

const A_LONG_TIME_S = 10 * 365 * 24 * 3600;

export function waitCommand(globals: () => GlobalOptions): Command {
  return new Command('wait')
    .description('wait for a container to end, and print its exit status')
    .argument('<id>', 'name of the container')
    .addHelpText(
      'after',
      '\nPrints {"id":…,"exitStatus":…}; of a signal, 128 and its number.\n\nExample:\n  runsc-ts wait my-container',
    )
    .action((id: string) => {
      const states = new StateDir(globals().root);
      const { status } = controlCall(states, states.load(id), 'wait', {}, A_LONG_TIME_S);
      const wait = Number(status);
      const exitStatus = (wait & 0x7f) !== 0 ? 128 + (wait & 0x7f) : (wait >> 8) & 0xff;
      print(`${JSON.stringify({ id, exitStatus })}\n`);
    });
}
