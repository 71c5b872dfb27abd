/**
 * The host's groups as the sentry knows them: descriptors that the CLI opened, because it has no files of the host. Figures are
 * read from them; into others it writes processes of a container whose groups are not those of the zygote.
 */
import { HostBuffer } from '../../sentry/host/memory.ffi.ts';
import { pread, write } from '../../sentry/host/sys.ffi.ts';
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

/** `procs`: cgroup.procs files. A process that cannot be moved is counted where it was born, and ends in time with the rest. */
export function adopter(procs: readonly number[]): ((hostPid: number) => void) | null {
  if (procs.length === 0) return null;
  return (hostPid) => {
    const n = buffer.bytes.write(String(hostPid), 'latin1');
    for (const fd of procs) write(fd, buffer.addr, n);
  };
}
