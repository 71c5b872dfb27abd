/** A network namespace of a test's own: engines never touch the host's network. */
import { spawnSync } from 'node:child_process';

export interface Netns {
  readonly name: string;
  /** Command line that runs `command` in the namespace; mounts stay the host's (unlike `ip netns exec`). */
  enter(command: readonly string[]): string[];
  remove(): void;
}

export function run(...command: string[]): void {
  const r = spawnSync(command[0]!, command.slice(1), { encoding: 'utf8' });
  if (r.status !== 0) throw new Error(`${command.join(' ')}: ${r.stderr.trim()}`);
}

export function makeNetns(name: string): Netns {
  run('ip', 'netns', 'add', name);
  const enter = (command: readonly string[]): string[] => ['nsenter', `--net=/run/netns/${name}`, ...command];
  run(...enter(['ip', 'link', 'set', 'lo', 'up']));
  return { name, enter, remove: () => run('ip', 'netns', 'delete', name) };
}
