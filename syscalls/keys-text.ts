/** /proc/keys and /proc/key-users (security/keys/proc.c; keyrings(7)). */
import { KEY_NEED_VIEW, NO_GROUP, type Key } from '../sentry/kernel/keys/key.ts';
import { keysOf, possesses } from '../sentry/kernel/keys/process-keyrings.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { keyFiles } from '../sentry/fsimpl/proc/keys.ts';

/** "the amount of time until the key expires": perm, expd, or a number with its unit. */
function timeout(k: Key, nowSec: number): string {
  if (k.expiry === Infinity) return 'perm';
  const left = Math.floor(k.expiry - nowSec);
  if (left <= 0) return 'expd';
  const units: readonly [number, string][] = [
    [604800, 'w'],
    [86400, 'd'],
    [3600, 'h'],
    [60, 'm'],
  ];
  for (const [seconds, unit] of units) if (left >= seconds) return `${Math.floor(left / seconds)}${unit}`;
  return `${left}s`;
}

function contents(k: Key): string {
  if (k.links !== null) return k.links.size === 0 ? 'empty' : String(k.links.size);
  return String(k.payload.length);
}

function line(t: Task, k: Key): string {
  const { userNs } = t.creds;
  const flags = [
    k.rejected === 0 ? 'I' : '-',
    k.revoked ? 'R' : '-',
    '-Q-',
    k.rejected !== 0 ? 'N' : '-',
    k.invalidated ? 'i' : '-',
  ];
  const num = (n: number, width: number): string => String(n).padStart(width);
  const hex = (n: number): string => n.toString(16).padStart(8, '0');
  const gid = k.gid === NO_GROUP ? 65534 : userNs.fromGid(k.gid);
  return (
    `${hex(k.serial)} ${flags.join('')} ${num(Math.max(1, k.refCount), 5)} ${timeout(k, t.nowSec).padStart(4)} ` +
    `${hex(k.perm)} ${num(userNs.fromUid(k.uid), 5)} ${num(gid, 5)} ${k.type.name.padEnd(9)} ${k.description}` +
    `${k.rejected === 0 ? `: ${contents(k)}` : ''}\n`
  );
}

/** The keys that the reader may view. */
function keysText(t: Task): string {
  let text = '';
  const { table } = keysOf(t.kernel);
  table.collect(t.nowSec);
  const keys = [...table.bySerial.values()].sort((a, b) => a.serial - b.serial);
  for (const k of keys) {
    const mayView =
      k.permits(t.creds, KEY_NEED_VIEW, false) || k.permits(t.creds, KEY_NEED_VIEW, possesses(t, k));
    if (mayView) text += line(t, k);
  }
  return text;
}

function keyUsersText(t: Task): string {
  const { table } = keysOf(t.kernel);
  table.collect(t.nowSec);
  let text = '';
  for (const uid of [...table.users.keys()].sort((a, b) => a - b)) {
    const u = table.user(uid);
    const q = table.quotaOf(uid);
    const id = String(t.creds.userNs.fromUid(uid)).padStart(5);
    text += `${id}: ${String(u.keys).padStart(5)} ${u.keys}/${u.keys} ${u.keys}/${q.maxKeys} ${u.bytes}/${q.maxBytes}\n`;
  }
  return text;
}

/** Puts the files' contents where /proc finds them. */
export function installKeyFiles(): void {
  keyFiles.keys = keysText;
  keyFiles.users = keyUsersText;
  keyFiles.quotas = (t) => keysOf(t.kernel).table;
}
