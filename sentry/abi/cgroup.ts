/** Controllers of control groups, in the order in which cgroup.controllers names them. */
export const CONTROLLERS = ['cpuset', 'cpu', 'io', 'memory', 'pids'] as const;
export const ALL_CONTROLLERS = (1 << CONTROLLERS.length) - 1;

/** 0: there is no controller of this name. */
export function controllerBit(name: string): number {
  const i = (CONTROLLERS as readonly string[]).indexOf(name);
  return i < 0 ? 0 : 1 << i;
}

export function controllerNames(mask: number): string {
  return CONTROLLERS.filter((_, i) => (mask & (1 << i)) !== 0).join(' ');
}

export const PIDS = controllerBit('pids');
/** cgrp_dfl_threaded_ss_mask: those that can tell the threads of one process apart. */
export const THREADED_CONTROLLERS = controllerBit('cpuset') | controllerBit('cpu') | PIDS;
