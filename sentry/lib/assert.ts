/** Assertions for programmer errors. A failed one is a bug of ours, never a guest's doing. */

class KernelPanic extends Error {
  override name = 'KernelPanic';
}

export function assert(condition: boolean, what: string): asserts condition {
  if (!condition) panic(what);
}

export function panic(what: string): never {
  throw new KernelPanic(what);
}
