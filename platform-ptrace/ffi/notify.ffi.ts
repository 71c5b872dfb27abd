/** seccomp user notifications (seccomp_unotify(2)) through shim.so. Ids are 64 bits wide and travel as two halves. */
import { atStart } from '../../sentry/host/at-start.ts';
import { nativeFunction } from '../../sentry/host/koffi.ffi.ts';

/** sizeof(struct seccomp_notif) */
export const NOTIF_SIZE = 80;

/**
 * Receives up to `max` waiting notifications to host address `out`, without blocking; `expected` of them are known to
 * be there. Count or −errno.
 */
export let notifReceive: (listener: number, out: number, max: number, expected: number) => number;

export let notifSend: (
  listener: number,
  idLo: number,
  idHi: number,
  error: number,
  proceed: number,
) => number;

export let notifAddFd: (listener: number, idLo: number, idHi: number, fd: number, newFd: number) => number;

export let notifSyncWakeUp: (listener: number) => number;

atStart(() => {
  notifReceive = nativeFunction('shim_notif_receive', 'int', ['int', 'int64', 'int', 'int']);
  notifSend = nativeFunction('shim_notif_send', 'int', ['int', 'uint32', 'uint32', 'int', 'int']);
  notifAddFd = nativeFunction('shim_notif_addfd', 'int', ['int', 'uint32', 'uint32', 'int', 'int']);
  notifSyncWakeUp = nativeFunction('shim_notif_sync_wake_up', 'int', ['int']);
});
