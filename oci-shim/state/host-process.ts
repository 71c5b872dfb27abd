/** A process of the host by id and start time, so that a reused id is another process (proc(5), /proc/PID/stat). */
import { readFileSync } from 'node:fs';

export interface HostProcess {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: clock ticks since boot. */
  readonly startTime: string;
}

/** State letter and start time of `pid`; null if there is no such process. */
function stat(pid: number): { state: string; startTime: string } | null {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return null;
  }
  // The name in parentheses may hold anything.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0]!, startTime: fields[19]! };
}

/** Start time of a process that is there; '' if it is not. */
export function startTimeOf(pid: number): string {
  return stat(pid)?.startTime ?? '';
}

/** False if it has ended, is a zombie that nobody has waited for, or the id is another process's by now. */
export function isAlive(p: HostProcess): boolean {
  if (p.pid <= 0) return false;
  const s = stat(p.pid);
  return s !== null && s.state !== 'Z' && s.state !== 'X' && s.startTime === p.startTime;
}
