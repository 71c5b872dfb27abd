/** One value to be written to a controller's file, and the field that asked for it. */
import type { DeviceRate, Resources } from './resources.ts';

export interface Setting {
  controller: string;
  file: string;
  value: string;
  /** Below `linux.resources`. */
  field: string;
}

/** Collects settings; values that were not asked for are left out. */
export class SettingList {
  readonly list: Setting[] = [];

  add(field: string, controller: string, file: string, value: number | string | undefined): void {
    if (value !== undefined) this.list.push({ controller, file, value: String(value), field });
  }
}

/** The throttle fields of `blockIO` with the name of their rate in cgroup v1 and v2. */
export function throttles(r: Resources): { field: string; v1: string; v2: string; rates: DeviceRate[] }[] {
  const { blockIO } = r;
  const rows = [
    ['throttleReadBpsDevice', 'read_bps', 'rbps'],
    ['throttleWriteBpsDevice', 'write_bps', 'wbps'],
    ['throttleReadIOPSDevice', 'read_iops', 'riops'],
    ['throttleWriteIOPSDevice', 'write_iops', 'wiops'],
  ] as const;
  return rows.map(([field, v1, v2]) => ({ field: `blockIO.${field}`, v1, v2, rates: blockIO[field] }));
}

/** How far the group may exceed what the user asked for, because processes of ours are in it. */
export interface Allowance {
  memory: number;
  pids: number;
}

/** −1 is no limit. */
export function limitPlus(limit: number | undefined, allowance: number): number | undefined {
  return limit === undefined || limit < 0 ? limit : limit + allowance;
}
