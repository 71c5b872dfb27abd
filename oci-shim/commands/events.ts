/** `runsc-ts events`: figures of a container, and out-of-memory kills, as one line of JSON each (runc's events.go). */
import { oomKills, readStats } from '../cgroup/stats.ts';
import type { GlobalOptions } from '../global-options.ts';
import { statusOf } from '../state/container-state.ts';
import { StateDir } from '../state/state-dir.ts';
import { UserError } from '../user-error.ts';
import { print } from '../output.ts';

export interface EventsOptions {
  stats?: boolean;
  interval: string;
}

/** How soon an out-of-memory kill or the end of the container is noticed. */
const WATCH_MS = 200;

export async function events(id: string, o: EventsOptions, globals: GlobalOptions): Promise<void> {
  const interval = durationMs(o.interval);
  if (interval <= 0) throw new UserError(`--interval ${o.interval}: must be greater than 0`);
  const states = new StateDir(globals.root);
  const state = states.load(id);
  if (statusOf(state) === 'stopped') throw new UserError(`container with id ${id} is not running`);
  if (state.cgroup === null) throw new UserError(`container ${id} has no cgroup: there are no figures`);
  const { cgroup } = state;
  const show = (type: string, data?: unknown): void => {
    print(`${toJson({ type, id, ...(data === undefined ? {} : { data }) })}\n`);
  };
  if (o.stats === true) {
    show('stats', readStats(cgroup));
    return;
  }
  let kills = oomKills(cgroup);
  for (let next = Date.now() + interval; ;) {
    await new Promise((resolve) => setTimeout(resolve, Math.min(WATCH_MS, Math.max(1, next - Date.now()))));
    if (statusOf(state) === 'stopped') return;
    const now = oomKills(cgroup);
    for (; kills < now; kills++) show('oom');
    if (Date.now() < next) continue;
    next = Date.now() + interval;
    show('stats', readStats(cgroup));
  }
}

/** Numbers that say "no limit" are beyond what JavaScript holds exactly; readers may have 64 bits and no more. */
const EXACT: readonly [inexact: number, exact: string][] = [
  [2 ** 64, '18446744073709551615'],
  [9223372036854771712, '9223372036854771712'],
];

export function toJson(value: unknown): string {
  return EXACT.reduce((text, [n, exact]) => text.replaceAll(`:${n}`, `:${exact}`), JSON.stringify(value));
}

const UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** `5s`, `500ms`, `1m30s`, as Go's durations. */
export function durationMs(text: string): number {
  let ms = 0;
  let rest = text;
  while (rest !== '') {
    const m = /^(\d+(?:\.\d+)?)(ms|s|m|h)/.exec(rest);
    if (m === null) throw new UserError(`--interval ${text}: must be a time as 5s or 500ms`);
    ms += Number(m[1]) * UNITS[m[2]!]!;
    rest = rest.slice(m[0].length);
  }
  return ms;
}
