/** Mount options by name (mount(8), runtime-spec config.md "Linux mount options"): the tables of runc and mount(8). */
import * as ms from '../../sentry/vfs/mount.ts';

/** Option → flags to set or clear. */
export const MOUNT_FLAGS: ReadonlyMap<string, { set?: number; clear?: number }> = new Map([
  ['ro', { set: ms.MS_RDONLY }],
  ['rw', { clear: ms.MS_RDONLY }],
  ['nosuid', { set: ms.MS_NOSUID }],
  ['suid', { clear: ms.MS_NOSUID }],
  ['nodev', { set: ms.MS_NODEV }],
  ['dev', { clear: ms.MS_NODEV }],
  ['noexec', { set: ms.MS_NOEXEC }],
  ['exec', { clear: ms.MS_NOEXEC }],
  ['nosymfollow', { set: ms.MS_NOSYMFOLLOW }],
  ['symfollow', { clear: ms.MS_NOSYMFOLLOW }],
  ['noatime', { set: ms.MS_NOATIME }],
  ['atime', { clear: ms.MS_NOATIME }],
  ['nodiratime', { set: ms.MS_NODIRATIME }],
  ['diratime', { clear: ms.MS_NODIRATIME }],
  ['relatime', { set: ms.MS_RELATIME }],
  ['norelatime', { clear: ms.MS_RELATIME }],
  ['strictatime', { set: ms.MS_STRICTATIME }],
  ['nostrictatime', { clear: ms.MS_STRICTATIME }],
  ['sync', { set: ms.MS_SYNCHRONOUS }],
  ['async', { clear: ms.MS_SYNCHRONOUS }],
  ['dirsync', { set: ms.MS_DIRSYNC }],
  ['mand', { set: ms.MS_MANDLOCK }],
  ['nomand', { clear: ms.MS_MANDLOCK }],
  ['lazytime', { set: ms.MS_LAZYTIME }],
  ['nolazytime', { clear: ms.MS_LAZYTIME }],
  ['iversion', { set: ms.MS_I_VERSION }],
  ['noiversion', { clear: ms.MS_I_VERSION }],
  ['silent', { set: ms.MS_SILENT }],
  ['loud', { clear: ms.MS_SILENT }],
  ['remount', { set: ms.MS_REMOUNT }],
  ['bind', { set: ms.MS_BIND }],
  ['rbind', { set: ms.MS_BIND | ms.MS_REC }],
  ['defaults', {}],
]);

export const PROPAGATION_FLAGS: ReadonlyMap<string, number> = new Map([
  ['private', ms.MS_PRIVATE],
  ['rprivate', ms.MS_PRIVATE | ms.MS_REC],
  ['slave', ms.MS_SLAVE],
  ['rslave', ms.MS_SLAVE | ms.MS_REC],
  ['shared', ms.MS_SHARED],
  ['rshared', ms.MS_SHARED | ms.MS_REC],
  ['unbindable', ms.MS_UNBINDABLE],
  ['runbindable', ms.MS_UNBINDABLE | ms.MS_REC],
]);

/** What mount_setattr(2) with AT_RECURSIVE would set or clear on the mount and those below it. */
export const RECURSIVE_FLAGS: ReadonlyMap<string, { set?: number; clear?: number }> = new Map([
  ['rro', { set: ms.MS_RDONLY }],
  ['rrw', { clear: ms.MS_RDONLY }],
  ['rnosuid', { set: ms.MS_NOSUID }],
  ['rsuid', { clear: ms.MS_NOSUID }],
  ['rnodev', { set: ms.MS_NODEV }],
  ['rdev', { clear: ms.MS_NODEV }],
  ['rnoexec', { set: ms.MS_NOEXEC }],
  ['rexec', { clear: ms.MS_NOEXEC }],
  ['rnosymfollow', { set: ms.MS_NOSYMFOLLOW }],
  ['rsymfollow', { clear: ms.MS_NOSYMFOLLOW }],
  ['rnodiratime', { set: ms.MS_NODIRATIME }],
  ['rdiratime', { clear: ms.MS_NODIRATIME }],
  ['rrelatime', { set: ms.MS_RELATIME, clear: ms.MS_NOATIME | ms.MS_STRICTATIME }],
  ['rnorelatime', { clear: ms.MS_RELATIME }],
  ['rnoatime', { set: ms.MS_NOATIME, clear: ms.MS_RELATIME | ms.MS_STRICTATIME }],
  ['ratime', { clear: ms.MS_NOATIME }],
  ['rstrictatime', { set: ms.MS_STRICTATIME, clear: ms.MS_NOATIME | ms.MS_RELATIME }],
  ['rnostrictatime', { clear: ms.MS_STRICTATIME }],
]);

/** Every option that `features` names. */
export function knownMountOptions(): string[] {
  return [...MOUNT_FLAGS.keys(), ...PROPAGATION_FLAGS.keys(), ...RECURSIVE_FLAGS.keys(), 'tmpcopyup'].sort();
}
