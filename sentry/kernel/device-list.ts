/** Which devices the tasks of a container may use: the state of a devices group of version 1 (security/device_cgroup.c). */

/** ACC_MKNOD, ACC_READ, ACC_WRITE of linux/device_cgroup.h */
export const ACC_MKNOD = 1;
export const ACC_READ = 2;
export const ACC_WRITE = 4;

export interface DeviceException {
  readonly block: boolean;
  /** −1: any */
  readonly major: number;
  readonly minor: number;
  /** ACC_* */
  readonly access: number;
}

export interface DeviceList {
  /** What holds where no exception does. */
  readonly allowed: boolean;
  readonly exceptions: readonly DeviceException[];
}

/** devcgroup_legacy_check_permission(): exceptions from "allowed" count in part, those from "denied" as a whole. */
export function listAllows(
  list: DeviceList,
  block: boolean,
  major: number,
  minor: number,
  access: number,
): boolean {
  for (const e of list.exceptions) {
    if (e.block !== block || (e.major >= 0 && e.major !== major) || (e.minor >= 0 && e.minor !== minor))
      continue;
    if (list.allowed ? (access & e.access) !== 0 : (access & ~e.access) === 0) return !list.allowed;
  }
  return list.allowed;
}
