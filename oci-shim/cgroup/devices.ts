/**
 * `linux.resources.devices` as lines of version 1's devices.allow and devices.deny (runtime-spec config-linux.md, "Allowed Device
 * list"). Guests open no device of the host whatever these say: they are there for who reads the group, and for the sandbox's own
 * processes. Version 2 has a program of BPF instead of files, which is left out for the same reason.
 */
import type { Field } from '../spec/field.ts';
import { writeCgroupFile } from './file.ts';

export interface DeviceRule {
  readonly allow: boolean;
  /** `c 1:3 rwm`, or `a` */
  readonly what: string;
}

/** What runc adds to every list: making nodes, the default devices, terminals, and /dev/net/tun. */
const DEFAULTS: readonly DeviceRule[] = [
  'c *:* m', 'b *:* m', 'c 1:3 rwm', 'c 1:8 rwm', 'c 1:7 rwm', 'c 5:0 rwm', 'c 1:5 rwm', 'c 1:9 rwm', 'c 136:* rwm', 'c 5:2 rwm',
  'c 10:200 rwm',
].map((what) => ({ allow: true, what })); // prettier-ignore

/** Device numbers have 32 bits in all; engines say −1 for "any". */
const MAX_NUMBER = 0xffffffff;

/** "The runtime MUST apply entries in the listed order." Nothing is allowed at first. */
export function deviceRules(resources: Field | null): DeviceRule[] {
  const rules = resources?.objects('devices').map(deviceRule) ?? [];
  return [{ allow: false, what: 'a' }, ...rules, ...DEFAULTS];
}

function deviceRule(d: Field): DeviceRule {
  d.only(['allow', 'type', 'major', 'minor', 'access']);
  const type = d.optionalString('type') ?? 'a';
  if (!['a', 'b', 'c'].includes(type)) d.bad('type', `invalid cgroup device type "${type}"`);
  const access = d.optionalString('access') ?? 'rwm';
  if (!/^[rwm]+$/.test(access)) d.bad('access', 'must be of the letters r, w and m');
  const number = (key: string): string => {
    const n = d.integer(key, -1, -1, MAX_NUMBER);
    return n < 0 ? '*' : String(n);
  };
  const what = `${type} ${number('major')}:${number('minor')} ${access}`;
  return { allow: d.boolean('allow', false), what: what === 'a *:* rwm' ? 'a' : what };
}

/** In a group without children. What its parents do not allow cannot be allowed, and nobody misses it. */
export function writeDevicesV1(dir: string, rules: readonly DeviceRule[]): void {
  for (const { allow, what } of rules) {
    try {
      writeCgroupFile(dir, allow ? 'devices.allow' : 'devices.deny', what);
    } catch {
      continue;
    }
  }
}
