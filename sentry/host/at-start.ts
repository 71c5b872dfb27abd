/**
 * What belongs to one process: native functions, addresses. build.js evaluates the programs' modules once and keeps V8's
 * heap as a start-up snapshot (node --build-snapshot); a process started from it has its functions compiled and its tables
 * made, but native code and addresses are its own. So modules do not make these, they order them here.
 */
let pending: (() => void)[] | null = process.execArgv.includes('--build-snapshot') ? [] : null;

/** This process's heap becomes a snapshot: nothing native exists in it. */
export const buildingSnapshot = pending !== null;

/** Runs `make` now, or in every process that starts from the snapshot being built, in the order of the calls. */
export function atStart(make: () => void): void {
  if (pending === null) make();
  else pending.push(make);
}

/** The process has started from a snapshot. */
export function runStartOrders(): void {
  const orders = pending ?? [];
  pending = null;
  for (const make of orders) make();
}
