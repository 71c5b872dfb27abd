/** seccomp user notifications (seccomp_unotify(2)) through shim.so. Ids are 64 bits wide and travel as two halves. */
import { shim } from '../../sentry/host/koffi.ffi.ts';

/** sizeof(struct seccomp_notif) */
export const NOTIF_SIZE = 80;

/**
 * Receives up to `max` waiting notifications to host address `out`, without blocking; `expected` of them are known to
 * be there. Count or −errno.
 */
export const notifReceive = shim.func('shim_notif_receive', 'int', [
  'int',
  'int64',
  'int',
  'int',
]) as unknown as (listener: number, out: number, max: number, expected: number) => number;

export const notifSend = shim.func('shim_notif_send', 'int', [
  'int',
  'uint32',
  'uint32',
  'int',
  'int',
]) as unknown as (listener: number, idLo: number, idHi: number, error: number, proceed: number) => number;

export const notifAddFd = shim.func('shim_notif_addfd', 'int', [
  'int',
  'uint32',
  'uint32',
  'int',
  'int',
]) as unknown as (listener: number, idLo: number, idHi: number, fd: number, newFd: number) => number;

export const notifSyncWakeUp = shim.func('shim_notif_sync_wake_up', 'int', ['int']) as unknown as (
  listener: number,
) => number;
