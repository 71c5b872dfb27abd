/** What an engine test needs on the machine; tests say loudly what they skip. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

export function has(program: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
}

/** Names of what is missing, with the Debian packages that bring it; empty if the tests can run. */
export function missing(needed: Readonly<Record<string, string>>): string[] {
  const list = Object.entries(needed)
    .filter(([program]) => !(program.startsWith('/') ? existsSync(program) : has(program)))
    .map(([program, debianPackage]) => `${program} (apt-get install ${debianPackage})`);
  if (process.getuid!() !== 0) list.push('root');
  return list;
}
