/**
 * The zygote: the process from which all guest address spaces are cloned. It is spawned before the sentry's program is
 * (native/zygote.h), as a child of the sentry's process, with the guest filter installed; the sentry gets its pid, the
 * filter's notification listener and the memfd of the zygote's slot area.
 */
export interface Zygote {
  readonly pid: number;
  readonly listenerFd: number;
  readonly areaFd: number;
}

/** Parses `PID,LISTENER,AREA`. */
export function parseZygote(text: string | undefined): Zygote | null {
  const parts = (text ?? '').split(',').map(Number);
  if (parts.length !== 3 || !parts.every((n) => Number.isSafeInteger(n) && n >= 0)) return null;
  return { pid: parts[0]!, listenerFd: parts[1]!, areaFd: parts[2]! };
}
