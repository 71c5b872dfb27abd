/** The client of Docker on a terminal, and somebody who types there. */
import { join } from 'node:path';
import { run, type Outcome } from '../../lib/sandbox.ts';
import type { Dockerd } from './dockerd.ts';

let serial = 0;

/** Once a shell command succeeds, `keys` are typed, in the words of printf(1). */
export interface Typed {
  readonly when: string;
  readonly keys: string;
}

/**
 * Runs `docker ARGUMENTS` (words of a shell) on a terminal of its own: what the terminal shows is the output. The shell command
 * `before` runs on the terminal first.
 */
export function onTerminal(
  daemon: Dockerd,
  args: string,
  before = '',
  typed: readonly Typed[] = [],
): Outcome {
  // A pipe that nobody closes is its keyboard: at the end of its input `script` would type a NUL.
  const keyboard = `k=$(mktemp -u) && mkfifo $k && exec 3<>$k && rm $k`;
  const docker = `${before}docker --host ${daemon.host} ${args}`;
  let command = docker;
  let typist = '';
  if (typed.length > 0) {
    const tty = join(daemon.dir, `tty${serial++}`);
    command = `tty > ${tty}; ${docker}`;
    // Keys that come before the client reads each by itself would mean something to the terminal.
    const steps = [{ when: `stty -F "$(cat ${tty})" -a | grep -q -e -icanon`, keys: '' }, ...typed];
    const type = steps.map((s) => `until ${s.when}; do sleep 0.1; done; printf '${s.keys}' >&3;`);
    typist = `{ ${type.join(' ')} } >/dev/null 2>&1 &`;
  }
  // Not by exec: `script` takes the end of any child for that of its own.
  const script = `${keyboard}; ${typist} script -qec "$0" /dev/null <&3 3<&-; exit $?`;
  return run('sh', ['-c', script, command], { timeoutMs: 300_000 });
}
