/**
 * What a guest binds its threads to (sched_setaffinity). It numbers the CPUs that it sees from 0: the first one stands for the
 * first that the sandbox may use, and so on.
 */

/** The CPUs of `allowed` whose bits are set; null if that is no restriction, or none of them. */
export function chosenCpus(allowed: readonly number[], bits: Uint8Array | null): readonly number[] | null {
  if (bits === null) return null;
  const chosen = allowed.filter((_, i) => ((bits[i >> 3] ?? 0) & (1 << (i & 7))) !== 0);
  return chosen.length === 0 || chosen.length === allowed.length ? null : chosen;
}
