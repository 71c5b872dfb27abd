/** Host processes below a launcher, and what is left of a sandbox after its end. */
import { readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';

/** A process by id and start time, so that a reused id is another process. */
export interface HostProcess {
  readonly pid: number;
  readonly started: string;
  readonly role: 'launcher' | 'gofer' | 'init' | 'sentry' | 'guest';
}

function startTime(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? null : fields[19]!;
  } catch {
    return null;
  }
}

export function isAlive(p: HostProcess): boolean {
  return startTime(p.pid) === p.started;
}

export function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1');
    return text.trim().split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

export function parentOf(pid: number): number {
  return Number(/^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))![1]);
}

/** Every process of the sandbox whose launcher (or CLI, before that) is `launcher`, as far as it has come. */
export function processesOf(launcher: number): HostProcess[] {
  const found: HostProcess[] = [];
  const add = (pid: number, role: HostProcess['role']): void => {
    const started = startTime(pid);
    if (started !== null) found.push({ pid, started, role });
  };
  add(launcher, 'launcher');
  const [gofer, init] = childrenOf(launcher);
  if (gofer !== undefined) add(gofer, 'gofer');
  if (init === undefined) return found;
  add(init, 'init');
  const [sentry] = childrenOf(init);
  if (sentry === undefined) return found;
  add(sentry, 'sentry');
  for (const guest of childrenOf(sentry)) add(guest, 'guest');
  return found;
}

/** What a sandbox could leave behind outside of its processes: mounts, and temporary files. */
export function traces(): string {
  const mounts = readFileSync('/proc/self/mountinfo', 'latin1').split('\n').length;
  const files = readdirSync(tmpdir()).filter((name) => name.startsWith('runsc-ts-'));
  return JSON.stringify({ mounts, files });
}

/** Of `processes`, those that are still there after up to `ms`. */
export async function survivors(processes: readonly HostProcess[], ms: number): Promise<HostProcess[]> {
  for (let waited = 0; waited < ms && processes.some(isAlive); waited += 20) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return processes.filter(isAlive);
}
