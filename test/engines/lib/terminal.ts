/** The client of Docker on a terminal. */
import { run, type Outcome } from '../../lib/sandbox.ts';
import type { Dockerd } from './dockerd.ts';

/**
 * Runs `docker ARGUMENTS` (words of a shell) on a terminal of its own: what the terminal shows is the output. The shell command
 * `before` runs on the terminal first.
 */
export function onTerminal(daemon: Dockerd, args: string, before = ''): Outcome {
  // A pipe that nobody writes to nor closes is its keyboard: at the end of its input `script` would type a NUL.
  const keyboard = `k=$(mktemp -u) && mkfifo $k && exec 3<>$k && rm $k`;
  const command = `${before}docker --host ${daemon.host} ${args}`;
  return run('sh', ['-c', `${keyboard} && exec script -qec "$0" /dev/null <&3 3<&-`, command], {
    timeoutMs: 300_000,
  });
}
