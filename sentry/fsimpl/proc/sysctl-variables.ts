/** What stands behind the entries of /proc/sys that can be set. */
import { EINVAL } from '../../abi/errno.ts';
import { NAMESPACE_KINDS, NET_NAMESPACES_MAX, type NamespaceKind } from '../../auth/namespace-users.ts';
import type { IpcLimits } from '../../kernel/ipc/ipc-limits.ts';
import type { KeyQuota } from '../../kernel/keys/key.ts';
import type { Task } from '../../kernel/task.ts';
import { protection, setProtection, type Protection } from '../../vfs/protected.ts';
import { INOTIFY_LIMIT_MAX, inotifyLimits } from '../inotify/inotify.ts';
import { keyFiles } from './keys.ts';
import { parseBounded } from '../kernfs/parse.ts';
import { sysvipcTables } from './sysvipc.ts';

/** A constant, a function that makes the value, a variable, or a directory. */
export type Node = string | number | ((t: Task) => string | number) | Variable | PerInterface | SysctlTree;

export interface SysctlTree {
  readonly [name: string]: Node;
}

export class Variable {
  readonly get: (t: Task) => string | number;
  readonly set: (t: Task, text: string) => number;

  constructor(get: (t: Task) => string | number, set: (t: Task, text: string) => number) {
    this.get = get;
    this.set = set;
  }
}

/** A directory for each interface of the reader's network namespace, and `others`: what is in one by its name. */
export class PerInterface {
  readonly of: (name: string) => SysctlTree;
  readonly others: readonly string[];

  constructor(of: (name: string) => SysctlTree, others: readonly string[]) {
    this.of = of;
    this.others = others;
  }
}

const INT_MAX = 0x7fffffff;

/** __NEW_UTS_LEN */
const UTS_LEN = 64;

export function utsText(text: string): string {
  const end = Math.min(...['\n', '\0'].map((c) => text.indexOf(c)).map((i) => (i < 0 ? text.length : i)));
  return text.slice(0, Math.min(end, UTS_LEN));
}

/** One value is read of what may be a list (do_proc_dointvec). */
function firstWord(text: string): string {
  const isBlank = (c: number): boolean => c === 32 || (c >= 9 && c <= 13);
  let from = 0;
  while (from < text.length && isBlank(text.charCodeAt(from))) from++;
  let to = from;
  while (to < text.length && !isBlank(text.charCodeAt(to))) to++;
  return text.slice(from, to);
}

export function integer(
  get: (t: Task) => number,
  set: (t: Task, value: number) => number | void,
  min: number,
  max: number,
): Variable {
  return new Variable(get, (t, text) => {
    const { value, error } = parseBounded(firstWord(text), min, max);
    // Out of range is EINVAL for sysctls (proc_dointvec_minmax).
    if (error < 0) return -EINVAL;
    return set(t, value) ?? 0;
  });
}

/** /proc/sys/kernel/keys (security/keys/sysctl.c) */
export function keyQuota(of: 'quota' | 'rootQuota', what: keyof KeyQuota): Variable {
  const quota = (t: Task): KeyQuota => keyFiles.quotas(t)[of];
  return integer(
    (t) => quota(t)[what],
    (t, v) => {
      quota(t)[what] = v;
    },
    0,
    0x7fffffff,
  );
}

/** A limit of System V IPC in the caller's IPC namespace (ipc/ipc_sysctl.c). */
export function ipc(name: keyof IpcLimits, min: number, max: number): Variable {
  const limits = (t: Task): IpcLimits => sysvipcTables.limits!(t);
  return integer(
    (t) => limits(t)[name],
    (t, v) => {
      limits(t)[name] = v;
    },
    min,
    max,
  );
}

export function inotifyLimit(name: keyof typeof inotifyLimits): Variable {
  return integer(
    () => inotifyLimits[name],
    (_t, v) => {
      inotifyLimits[name] = v;
    },
    0,
    INOTIFY_LIMIT_MAX,
  );
}

/** How many namespaces of each kind users may have in the caller's user namespace (kernel/ucount.c). */
export function namespaceLimits(outermost: number): SysctlTree {
  const limitOf = (kind: NamespaceKind): Variable =>
    integer(
      ({ creds: { userNs } }) => {
        const initial = kind === 'net' ? NET_NAMESPACES_MAX : outermost;
        return userNs.namespacesMax.get(kind) ?? (userNs.level === 0 ? initial : INT_MAX);
      },
      (t, v) => {
        t.creds.userNs.namespacesMax.set(kind, v);
      },
      0,
      INT_MAX,
    );
  return Object.fromEntries(NAMESPACE_KINDS.map((kind) => [`max_${kind}_namespaces`, limitOf(kind)]));
}

export function nameProtection(of: Protection, max: number): Variable {
  return integer(
    () => protection(of),
    (_t, v) => setProtection(of, v),
    0,
    max,
  );
}

/** kernel.sem: SEMMSL, SEMMNS, SEMOPM, SEMMNI. */
export function semLimits(): Variable {
  const names = ['semmsl', 'semmns', 'semopm', 'semmni'] as const;
  return new Variable(
    (t) => names.map((n) => sysvipcTables.limits!(t)[n]).join('\t'),
    (t, text) => {
      const fields = text
        .replaceAll('\n', ' ')
        .replaceAll('\t', ' ')
        .split(' ')
        .filter((f) => f !== '');
      const values: number[] = [];
      for (const field of fields.slice(0, names.length)) {
        const { value, error } = parseBounded(field, 0, 0x7fffffff);
        if (error < 0) return -EINVAL;
        values.push(value);
      }
      if ((values[3] ?? 0) > 32768) return -EINVAL;
      values.forEach((v, i) => (sysvipcTables.limits!(t)[names[i]!] = v));
      return 0;
    },
  );
}

/** Entries of IPC namespaces that are only remembered (ipc/ipc_sysctl.c, ipc/mq_sysctl.c). */
const isIpcEntry = (path: string): boolean =>
  path === 'kernel/shm_rmid_forced' || path.startsWith('fs/mqueue/');

/** Where a namespace keeps what was set of the entry `path`; null: the entry is not one of a namespace's. */
function valuesOf(t: Task, path: string): Map<string, string> | null {
  if (path.startsWith('net/')) return t.ns.net.sysctls;
  return isIpcEntry(path) ? t.ns.ipc.sysctls : null;
}

/** What is set for all interfaces at once by setting it for `all` (inet_forward_change(), addrconf_disable_change()). */
const FOR_ALL = ['forwarding', 'disable_ipv6'];

/** Where the value of `path` is kept, and where the one is that holds if there is none; the same for most. */
function keptAs(path: string): { place: string; general: string } {
  if (path === 'net/ipv4/ip_forward') return keptAs('net/ipv4/conf/all/forwarding');
  const [net, family, conf, , name] = path.split('/');
  const shared = conf === 'conf' && name !== undefined && FOR_ALL.includes(name);
  return { place: path, general: shared ? `${net}/${family}/conf/all/${name}` : path };
}

/** A constant of a namespace as a variable: as many integers as the default has, or one word. */
export function remembered(path: string, initial: string | number): Variable {
  const count = typeof initial === 'number' ? 1 : initial.split('\t').length;
  const numeric = typeof initial === 'number' || isIntegers(initial.split('\t'));
  const { place, general } = keptAs(path);
  return new Variable(
    (t) => {
      const values = valuesOf(t, path)!;
      return values.get(place) ?? values.get(general) ?? initial;
    },
    (t, text) => {
      const words = utsText(text)
        .split(/[ \t]/)
        .filter((w) => w !== '');
      if (numeric ? words.length !== count || !isIntegers(words) : words.length > 16) return -EINVAL;
      const values = valuesOf(t, path)!;
      // The older one asks whether anything changes (devinet_sysctl_forward()).
      const changes =
        !path.startsWith('net/ipv4/') || String(values.get(place) ?? initial) !== words.join('\t');
      if (place === general && changes) {
        for (const key of [...values.keys()]) if (keptAs(key).general === general) values.delete(key);
      }
      values.set(place, words.join('\t'));
      return 0;
    },
  );
}

function isIntegers(words: readonly string[]): boolean {
  return words.every((w) => Number.isInteger(Number(w)) && Math.abs(Number(w)) < 2 ** 64);
}

export function isOfNamespace(path: string): boolean {
  return path.startsWith('net/') || isIpcEntry(path);
}
