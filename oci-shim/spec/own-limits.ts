/** The limits of this command, which the container's processes have as far as config.json says nothing else: as children of runc. */
import { readFileSync } from 'node:fs';
import { RLIMIT_NOFILE } from '../../sentry/kernel/limits.ts';
import type { ProcessConfig } from '../sandbox-config.ts';

type Limits = ProcessConfig['rlimits'];

/** fs.nr_open of the sandbox. */
const OPEN_FILES_MAX = 1048576;

/** /proc/PID/limits (proc_pid_limits(5)): its lines stand in the order of the resources' numbers. */
export function parseLimits(text: string): Limits {
  const limits: Limits = {};
  const lines = text.split('\n').slice(1).filter(Boolean);
  lines.forEach((line, nr) => {
    const [soft, hard] = [line.slice(26, 46), line.slice(47, 67)].map((column) => {
      const value = column.trim();
      return value === 'unlimited' ? -1 : Number(value);
    });
    limits[nr] = { soft: soft!, hard: hard! };
  });
  return limits;
}

function limitsOf(pid: number | 'self'): Limits {
  try {
    return parseLimits(readFileSync(`/proc/${pid}/limits`, 'latin1'));
  } catch {
    return {};
  }
}

export function ownLimits(): Limits {
  const own = limitsOf('self');
  const files = own[RLIMIT_NOFILE];
  if (files === undefined) return own;
  // Node has raised its soft limit to the hard one: the caller still has what it was.
  const callers = limitsOf(process.ppid)[RLIMIT_NOFILE];
  const { soft, hard } = callers !== undefined && callers.hard === files.hard ? callers : files;
  own[RLIMIT_NOFILE] = { soft: within(soft), hard: within(hard) };
  return own;
}

const within = (n: number): number => (n < 0 ? OPEN_FILES_MAX : Math.min(n, OPEN_FILES_MAX));
