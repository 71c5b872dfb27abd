/** Figures of the host's groups, read from descriptors that the CLI opened: the sentry has no files of the host. */
import { HostBuffer } from '../../sentry/host/memory.ffi.ts';
import { pread } from '../../sentry/host/sys.ffi.ts';
import type { GroupFigures } from '../../sentry/kernel/container.ts';

const buffer = new HostBuffer(4096);

/** `names` (cgroup/sandbox-groups.ts) are those of `fds`. null: there are none. */
export function openFigures(names: readonly string[], fds: readonly number[]): GroupFigures | null {
  if (names.length === 0) return null;
  const read = (name: string): string => {
    const i = names.indexOf(name);
    const n = i < 0 ? -1 : pread(fds[i]!, buffer.addr, buffer.bytes.length, 0);
    return n <= 0 ? '' : buffer.bytes.toString('latin1', 0, n);
  };
  const number = (name: string): number => {
    const text = read(name);
    return text === '' ? -1 : Number(text);
  };
  /** The number behind `key` and a blank at the start of a line; −1 if there is none. */
  const keyed = (name: string, key: string): number => {
    for (const line of read(name).split('\n')) {
      if (line.startsWith(`${key} `)) return Number(line.slice(key.length + 1));
    }
    return -1;
  };
  const hasHits = names.includes('hits');
  return {
    memoryUsage: () => number('usage'),
    memoryPeak: () => number('peak'),
    memoryPinned: () => {
      const rss = keyed('stat', 'rss');
      return rss < 0 ? -1 : rss + Math.max(0, keyed('stat', 'shmem'));
    },
    limitHits: () => (hasHits ? number('hits') : keyed('events', 'max')),
    oomKills: () => keyed('events', 'oom_kill'),
    periods: () => keyed('cpu', 'nr_periods'),
    throttledPeriods: () => keyed('cpu', 'nr_throttled'),
    // Version 1 says ns, version 2 µs.
    throttledNs: () => {
      const ns = keyed('cpu', 'throttled_time');
      return ns >= 0 ? ns : keyed('cpu', 'throttled_usec') * 1000;
    },
  };
}
