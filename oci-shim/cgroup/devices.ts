/**
 * `linux.resources.devices` (runtime-spec config-linux.md, "Allowed Device list") as the state of version 1's devices group that
 * they lead to. The sandbox's kernel asks it (sentry/kernel/device-list.ts); in the host's group, where the default devices are
 * always allowed, it is for who reads that, and for the sandbox's own processes. Version 2 has a program of BPF instead of files, which is left out: guests open no device of
 * the host.
 */
import {
  ACC_MKNOD,
  ACC_READ,
  ACC_WRITE,
  type DeviceException,
  type DeviceList,
} from '../../sentry/kernel/device-list.ts';
import type { Field } from '../spec/field.ts';
import { UserError } from '../user-error.ts';
import { writeCgroupFile } from './file.ts';

const ANY = -1;
const ACCESS: readonly (readonly [letter: string, bit: number])[] = [
  ['r', ACC_READ],
  ['w', ACC_WRITE],
  ['m', ACC_MKNOD],
];
const RWM = ACC_READ | ACC_WRITE | ACC_MKNOD;

/** What runc adds to every list: making nodes, the default devices, terminals, and /dev/net/tun. */
const DEFAULTS: readonly (DeviceException & { path?: string })[] = [
  { block: false, major: ANY, minor: ANY, access: ACC_MKNOD },
  { block: true, major: ANY, minor: ANY, access: ACC_MKNOD },
  { path: '/dev/null', block: false, major: 1, minor: 3, access: RWM },
  { path: '/dev/random', block: false, major: 1, minor: 8, access: RWM },
  { path: '/dev/full', block: false, major: 1, minor: 7, access: RWM },
  { path: '/dev/tty', block: false, major: 5, minor: 0, access: RWM },
  { path: '/dev/zero', block: false, major: 1, minor: 5, access: RWM },
  { path: '/dev/urandom', block: false, major: 1, minor: 9, access: RWM },
  { block: false, major: 136, minor: ANY, access: RWM },
  { block: false, major: 5, minor: 2, access: RWM },
  { block: false, major: 10, minor: 200, access: RWM },
];

/** Device numbers have 32 bits in all; engines say −1 for "any". */
const MAX_NUMBER = 0xffffffff;

/**
 * "The runtime MUST apply entries in the listed order", as runc does: nothing is allowed at first, runc's own rules come last.
 * `given`: paths of `linux.devices`, for which runc's rules about the default devices of those names are left out.
 */
export function deviceList(resources: Field | null, given: readonly string[] = []): DeviceList {
  const list = new Emulator();
  for (const d of resources?.objects('devices') ?? []) list.apply(d);
  for (const { path, ...rule } of DEFAULTS) {
    if (resources === null || path === undefined || !given.includes(path)) list.change(true, rule);
  }
  return list;
}

/** As the kernel keeps a group, but that runc refuses what the kernel would not do without a word. */
class Emulator implements DeviceList {
  allowed = false;
  exceptions: DeviceException[] = [];

  apply(d: Field): void {
    d.only(['allow', 'type', 'major', 'minor', 'access']);
    const allow = d.boolean('allow', false);
    const type = d.optionalString('type') ?? 'a';
    if (!['a', 'b', 'c'].includes(type)) d.bad('type', `invalid cgroup device type "${type}"`);
    const letters = d.optionalString('access');
    if (letters === null) throw new UserError(`${d.name}: device access field cannot be empty`);
    if (!/^[rwm]+$/.test(letters)) d.bad('access', 'must be of the letters r, w and m');
    const number = (key: string): number => d.integer(key, ANY, ANY, MAX_NUMBER);
    const [major, minor] = [number('major'), number('minor')];
    if (type === 'a') {
      this.allowed = allow;
      this.exceptions = [];
      return;
    }
    const access = ACCESS.reduce((sum, [letter, bit]) => sum | (letters.includes(letter) ? bit : 0), 0);
    this.change(allow, { block: type === 'b', major, minor, access });
  }

  change(allow: boolean, rule: DeviceException): void {
    const same = (e: DeviceException): boolean =>
      e.block === rule.block && e.major === rule.major && e.minor === rule.minor;
    const old = this.exceptions.find(same);
    const others = this.exceptions.filter((e) => e !== old);
    const before = old?.access ?? 0;
    let access = before | rule.access;
    if (allow === this.allowed) {
      const hole = others.find(
        (e) =>
          e.block === rule.block &&
          (e.major === ANY || e.major === rule.major) &&
          (e.minor === ANY || e.minor === rule.minor) &&
          (e.access & rule.access) !== 0,
      );
      if (hole !== undefined) {
        const text = `cannot punch hole in existing wildcard rule [${ruleText(hole)}]`;
        throw new UserError(`requested rule [${ruleText(rule)}] not supported by devices cgroupv1 (${text})`);
      }
      access = before & ~rule.access;
    }
    this.exceptions = access === 0 ? others : [...others, { ...rule, access }];
  }
}

/** `c 1:* rwm` */
function ruleText({ block, major, minor, access }: DeviceException): string {
  const number = (n: number): string => (n === ANY ? '*' : String(n));
  const letters = ACCESS.filter(([, bit]) => (access & bit) !== 0).map(([letter]) => letter);
  return `${block ? 'b' : 'c'} ${number(major)}:${number(minor)} ${letters.join('')}`;
}

/** In a group without children, in runc's order. What its parents do not allow cannot be allowed, and nobody misses it. */
export function writeDevicesV1(dir: string, { allowed, exceptions }: DeviceList): void {
  const write = (allow: boolean, what: string): void => {
    try {
      writeCgroupFile(dir, allow ? 'devices.allow' : 'devices.deny', what);
    } catch {
      // As much as its parents allow.
    }
  };
  write(allowed, 'a');
  const order = (e: DeviceException): number[] => [e.block ? 0 : 1, e.major, e.minor];
  const compare = (a: number[], b: number[]): number => a[0]! - b[0]! || a[1]! - b[1]! || a[2]! - b[2]!;
  const sorted = [...exceptions].sort((a, b) => compare(order(a), order(b)));
  for (const e of sorted) write(!allowed, ruleText(e));
}
