/** /proc/PID/timens_offsets (fs/proc/base.c; time_namespaces(7)): the clocks of the process's children. */
import { EINVAL, EPERM, ESRCH } from '../../abi/errno.ts';
import { CAP_SYS_TIME } from '../../auth/capability.ts';
import type { Task } from '../../kernel/task.ts';
import type { OffsetClock, TimeOffset } from '../../kernel/time-namespace.ts';
import { PAGE_SIZE } from '../../lib/addr.ts';
import { CLOCK_BOOTTIME, CLOCK_MONOTONIC } from '../../time/clock.ts';
import { parseInteger } from '../kernfs/parse.ts';
import type { SubjectStore } from './nodes.ts';

const NS = 1e9;
const MAX_LINES = 2;

/** Clocks by name or number. */
const CLOCKS: ReadonlyMap<string, OffsetClock> = new Map([
  ['monotonic', 'monotonic'],
  [String(CLOCK_MONOTONIC), 'monotonic'],
  ['boottime', 'boottime'],
  [String(CLOCK_BOOTTIME), 'boottime'],
]);

/** timens_offsets_show() */
export function timeOffsetsText({ ns }: Task): string {
  const { monotonic, boottime } = ns.timeForChildren.offsets;
  const line = (name: string, { sec, nsec }: TimeOffset): string =>
    `${name.padEnd(10)} ${String(sec).padStart(10)} ${String(nsec).padStart(9)}\n`;
  return line('monotonic', monotonic) + line('boottime', boottime);
}

/** timens_offsets_write() */
export const storeTimeOffsets: SubjectStore = (s, data, _writer, { pos, opener }) => {
  if (pos !== 0 || data.length >= PAGE_SIZE) return -EINVAL;
  const parsed = parse(data);
  if (parsed === null) return -EINVAL;
  const { task } = s;
  if (task === null) return -ESRCH;
  const ns = task.ns.timeForChildren;
  if (!opener.hasIn(CAP_SYS_TIME, ns.owner)) return -EPERM;
  return ns.setOffsets(parsed.changes) || parsed.taken;
};

/** What is to be set, and how many bytes that was: lines beyond the second are left. */
function parse(data: string): { changes: [OffsetClock, TimeOffset][]; taken: number } | null {
  const changes: [OffsetClock, TimeOffset][] = [];
  let pos = 0;
  while (changes.length < MAX_LINES) {
    const nl = data.indexOf('\n', pos);
    const words = data
      .slice(pos, nl < 0 ? data.length : nl)
      .split(' ')
      .filter((w) => w !== '');
    const clock = CLOCKS.get(words[0] ?? '');
    const sec = parseInteger(words[1] ?? '');
    const nsec = parseInteger(words[2] ?? '');
    if (clock === undefined || Number.isNaN(sec) || !(nsec >= 0 && nsec < NS)) return null;
    changes.push([clock, { sec, nsec }]);
    pos = nl < 0 ? data.length : nl + 1;
    if (pos === data.length) break;
  }
  return { changes, taken: pos };
}
