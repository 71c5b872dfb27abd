/** Options that stand before the command, as runc's do. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { SYSCALL_NAMES } from '../sentry/abi/syscall-names.ts';
import type { LogOptions } from './lifecycle/log.ts';
import type { Patching } from './sandbox-config.ts';
import { UserError } from './user-error.ts';

export interface GlobalOptions {
  platform: 'systrap' | 'ptrace';
  /** Rewrite syscall instructions of busy programs (systrap). */
  systrapPatching: Patching;
  /** null: off, []: all. */
  strace: string[] | null;
  /** Paths, in which %ID% stands for the container's (log-files.ts). */
  debugLog: string | null;
  syscallReport: string | null;
  /** Directory of container states. */
  root: string;
  log: LogOptions;
  /** Sockets of the host in containers' trees may be connected to. */
  hostSockets: boolean;
  /** Containers' writes to their roots stay in memory. */
  overlay: boolean;
  /** --systemd-cgroup */
  systemdCgroup: boolean;
  /** --ignore-cgroups: no groups of the host are made. */
  ignoreCgroups: boolean;
}

export function checkGlobalOptions(raw: Record<string, unknown>): GlobalOptions {
  const platform = String(raw['platform']);
  if (platform !== 'systrap' && platform !== 'ptrace') {
    throw new UserError(`--platform ${platform}: must be "systrap" or "ptrace"`);
  }
  return {
    platform,
    systrapPatching: parsePatching(raw['systrapPatching']),
    strace: parseStrace(raw['strace']),
    debugLog: optionalText(raw['debugLog']),
    syscallReport: optionalText(raw['syscallReport']),
    root: raw['root'] === undefined ? defaultStateDir() : resolve(String(raw['root'])),
    log: { file: optionalText(raw['log']), format: logFormat(raw['logFormat']) },
    hostSockets: parseHostUds(raw['hostUds']),
    overlay: raw['overlay'] === true,
    systemdCgroup: raw['systemdCgroup'] === true,
    ignoreCgroups: raw['ignoreCgroups'] === true,
  };
}

const optionalText = (value: unknown): string | null => (value === undefined ? null : String(value));

function parsePatching(value: unknown): Patching {
  if (value === undefined || value === 'true') return 'busy';
  if (value === 'false') return 'off';
  if (value === 'always') return 'always';
  throw new UserError(`--systrap-patching=${String(value)}: must be "true", "false" or "always"`);
}

function parseHostUds(value: unknown): boolean {
  if (value === undefined || value === 'none') return false;
  if (value === 'open') return true;
  throw new UserError(`--host-uds=${String(value)}: must be "none" or "open"`);
}

function parseStrace(value: unknown): string[] | null {
  if (value === undefined) return null;
  if (value === 'all') return [];
  const known = new Set(SYSCALL_NAMES.values());
  const names = String(value).split(',');
  const unknown = names.find((n) => !known.has(n));
  if (unknown !== undefined)
    throw new UserError(`--strace=${String(value)}: "${unknown}" is not an x86-64 system call`);
  return names;
}

function logFormat(value: unknown): 'text' | 'json' {
  if (value !== 'text' && value !== 'json') throw new UserError(`invalid log-format: ${String(value)}`);
  return value;
}

/** The root of a user namespace has no more rights to /run than who has made it (rootless engines). */
function defaultStateDir(): string {
  const uid = hostUid();
  return uid === 0 ? '/run/runsc-ts' : `${process.env['XDG_RUNTIME_DIR'] || `/tmp/runsc-ts-${uid}`}/runsc-ts`;
}

/** The user's id outside of the user namespace that this process is in. */
export function hostUid(): number {
  const uid = process.getuid!();
  for (const line of readFileSync('/proc/self/uid_map', 'latin1').split('\n')) {
    const [inside = -1, outside = 0, size = 0] = line.trim().split(/\s+/).map(Number);
    if (line !== '' && uid >= inside && uid - inside < size) return uid - inside + outside;
  }
  return uid;
}
