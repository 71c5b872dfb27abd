/**
 * Epoll instances that watch each other: no loops, no deep chains, and no more paths for a wake-up than Linux allows
 * (fs/eventpoll.c ep_loop_check, reverse_path_check). What wakes goes up every path, so their number is what an event may cost.
 */
import { EINVAL, ELOOP } from '../../abi/errno.ts';

/** EP_MAX_NESTS */
const MAX_NESTS = 4;
/** path_limits[]: paths from one file by the number of instances between it and the last one; none for those without. */
const PATH_LIMITS = [Infinity, 500, 100, 50, 10];

/** Instances, and by how many items each. */
type Links = Map<EpollNest, number>;

function add(links: Links, nest: EpollNest, n: number): void {
  const count = (links.get(nest) ?? 0) + n;
  if (count === 0) links.delete(nest);
  else links.set(nest, count);
}

/** The longest way from `from` along `links`, in steps. There are no loops. */
function reach(
  from: EpollNest,
  links: (nest: EpollNest) => Links,
  known = new Map<EpollNest, number>(),
): number {
  let longest = known.get(from);
  if (longest !== undefined) return longest;
  longest = 0;
  for (const next of links(from).keys()) longest = Math.max(longest, 1 + reach(next, links, known));
  known.set(from, longest);
  return longest;
}

const watchersOf = (nest: EpollNest): Links => nest.watchers;
const watchedBy = (nest: EpollNest): Links => nest.watched;

function collect(
  from: EpollNest,
  links: (nest: EpollNest) => Links,
  found = new Set<EpollNest>(),
): Set<EpollNest> {
  if (found.has(from)) return found;
  found.add(from);
  for (const next of links(from).keys()) collect(next, links, found);
  return found;
}

/** One instance's place among the others. */
export class EpollNest {
  readonly watchers: Links = new Map();
  readonly watched: Links = new Map();
  /** Items that are not epoll instances themselves. */
  private others = 0;

  /** An item for an ordinary file is made: 0, −EINVAL. */
  addOther(): number {
    this.others++;
    if (this.pathsAreFew()) return 0;
    this.others--;
    return -EINVAL;
  }

  removeOther(): void {
    this.others--;
  }

  /** An item for the instance `nest` is made: 0, −ELOOP, −EINVAL. */
  watch(nest: EpollNest): number {
    if (collect(this, watchersOf).has(nest)) return -ELOOP;
    if (reach(this, watchersOf) + 1 + reach(nest, watchedBy) > MAX_NESTS) return -ELOOP;
    add(this.watched, nest, 1);
    add(nest.watchers, this, 1);
    for (const below of collect(nest, watchedBy)) {
      if (below.others === 0 || below.pathsAreFew()) continue;
      this.unwatch(nest);
      return -EINVAL;
    }
    return 0;
  }

  unwatch(nest: EpollNest): void {
    add(this.watched, nest, -1);
    add(nest.watchers, this, -1);
  }

  private pathsAreFew(counts = [0, 0, 0, 0, 0], depth = 0): boolean {
    if (this.watchers.size === 0) return ++counts[depth]! <= PATH_LIMITS[depth]!;
    for (const [watcher, items] of this.watchers) {
      for (let i = 0; i < items; i++) if (!watcher.pathsAreFew(counts, depth + 1)) return false;
    }
    return true;
  }
}
