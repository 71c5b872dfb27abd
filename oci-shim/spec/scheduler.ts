/** `process.scheduler` and `process.ioPriority` (runtime-spec config.md): what sched_setattr(2) and ioprio_set(2) would set. */
import type { ProcessConfig } from '../sandbox-config.ts';
import type { Field } from './field.ts';

/** SCHED_* (include/uapi/linux/sched.h). */
const POLICIES: Record<string, number> = {
  SCHED_OTHER: 0,
  SCHED_FIFO: 1,
  SCHED_RR: 2,
  SCHED_BATCH: 3,
  SCHED_ISO: 4,
  SCHED_IDLE: 5,
  SCHED_DEADLINE: 6,
};
/** SCHED_FLAG_* (include/uapi/linux/sched.h). */
const SCHEDULER_FLAGS = [
  'SCHED_FLAG_RESET_ON_FORK', 'SCHED_FLAG_RECLAIM', 'SCHED_FLAG_DL_OVERRUN', 'SCHED_FLAG_KEEP_POLICY',
  'SCHED_FLAG_KEEP_PARAMS', 'SCHED_FLAG_UTIL_CLAMP_MIN', 'SCHED_FLAG_UTIL_CLAMP_MAX',
]; // prettier-ignore
/** IOPRIO_CLASS_* (include/uapi/linux/ioprio.h). */
const IO_CLASSES: Record<string, number> = { IOPRIO_CLASS_RT: 1, IOPRIO_CLASS_BE: 2, IOPRIO_CLASS_IDLE: 3 };
const IOPRIO_CLASS_SHIFT = 13;
const MAX_PRIORITY = 99;

export function scheduler(s: Field | null): NonNullable<ProcessConfig['scheduler']> | null {
  if (s === null) return null;
  s.only(['policy', 'nice', 'priority', 'flags', 'runtime', 'deadline', 'period']);
  const name = s.string('policy');
  const policy = POLICIES[name];
  if (policy === undefined) s.bad('policy', `invalid scheduler policy: ${name}`);
  for (const f of s.strings('flags')) {
    if (!SCHEDULER_FLAGS.includes(f)) s.bad('flags', `invalid scheduler flag: ${f}`);
  }
  const nice = s.integer('nice', 0, -20, 19);
  const priority = s.integer('priority', 0, 0, MAX_PRIORITY);
  const realTime = name === 'SCHED_FIFO' || name === 'SCHED_RR';
  if (priority !== 0 && !realTime) {
    s.bad('priority', 'scheduler.priority can only be specified for SchedFIFO or SchedRR policy');
  }
  for (const key of ['runtime', 'deadline', 'period']) {
    if (s.has(key) && name !== 'SCHED_DEADLINE') {
      s.bad(key, 'scheduler runtime/deadline/period can only be specified for SchedDeadline policy');
    }
  }
  if (name === 'SCHED_DEADLINE' || name === 'SCHED_ISO') {
    s.warn('policy', 'the sandbox has no such policy, SCHED_OTHER is used');
    return { policy: 0, nice, priority: 0 };
  }
  return { policy, nice, priority };
}

export function ioPriority(p: Field | null): number | null {
  if (p === null) return null;
  p.only(['class', 'priority']);
  const name = p.string('class');
  const ioClass = IO_CLASSES[name];
  if (ioClass === undefined) p.bad('class', 'invalid ioPriority.Class');
  return ioClass * 2 ** IOPRIO_CLASS_SHIFT + p.integer('priority', 0, 0, 7);
}
