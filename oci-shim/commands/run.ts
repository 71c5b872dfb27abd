/** `runsc-ts run`: create and start a container from an OCI bundle; in the foreground, wait for it and delete it. */
import { constants } from 'node:os';
import { Command } from 'commander';
import type { GlobalOptions } from '../global-options.ts';
import { createContainer } from '../lifecycle/create.ts';
import { deleteContainer, startAndNotify, startContainer } from '../lifecycle/manage.ts';
import { NotifySocket } from '../lifecycle/notify-socket.ts';
import type { Stub } from '../lifecycle/stub.ts';
import { StateDir } from '../state/state-dir.ts';
import { withCreateOptions, type CreateFlags } from './lifecycle.ts';
import { listenFds } from './preserved-fds.ts';

interface RunFlags extends CreateFlags {
  detach: boolean;
  keep: boolean;
}

export function runCommand(globals: () => GlobalOptions): Command {
  return withCreateOptions(new Command('run'))
    .description('create and start a container from an OCI bundle, and wait for it')
    .option('-d, --detach', 'return when it runs', false)
    .option('--keep', 'do not delete it when it has ended', false)
    .option('--no-subreaper', 'accepted, without effect')
    .addHelpText('after', '\nExample:\n  runsc-ts run --bundle /srv/bundle my-container')
    .action((id: string, f: RunFlags) => run(id, f, globals()));
}

async function run(id: string, f: RunFlags, globals: GlobalOptions): Promise<void> {
  const { stub } = createContainer(
    { id, ...f, listenFds: listenFds(process.env), detached: f.detach },
    globals,
  );
  const states = new StateDir(globals.root);
  const ended = f.detach ? null : passSignalsOn(stub);
  const notify = f.detach ? null : NotifySocket.open(states.pathOf(id));
  try {
    if (f.detach) startAndNotify(states, id);
    else startContainer(states, id);
  } catch (e) {
    if (!f.keep) deleteContainer(states, id, true);
    throw e;
  }
  if (ended === null) return;
  notify?.watch(process.pid);
  process.exitCode = await ended;
  if (!f.keep) deleteContainer(states, id, true);
}

/** This process's own, and SIGWINCH, which is for terminals only, as under runc. */
const KEPT = 'CHLD KILL STOP PROF URG PIPE SEGV BUS FPE ILL WINCH'.split(' ').map((n) => `SIG${n}`);
const FROM_TERMINAL = ['SIGINT', 'SIGQUIT', 'SIGTSTP', 'SIGTTIN', 'SIGTTOU'];

/** What this process is told, the container's first process is told. Its terminal's signals reach both by themselves. */
function passSignalsOn(stub: Stub): Promise<number> {
  for (const name of Object.keys(constants.signals) as NodeJS.Signals[]) {
    if (KEPT.includes(name)) continue;
    process.on(name, () => {
      // Asked only now: process.stdin loads Node's streams.
      if (!FROM_TERMINAL.includes(name) || !process.stdin.isTTY) stub.kill(name);
    });
  }
  return stub.ended();
}
