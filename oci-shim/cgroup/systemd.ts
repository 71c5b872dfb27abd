/** Scopes of systemd (org.freedesktop.systemd1(5), StartTransientUnit), asked for through busctl(1). */
import { spawnSync } from 'node:child_process';
import { UserError } from '../user-error.ts';
import type { Scope } from './path.ts';

/** A unit whose groups are ours to fill (Delegate), around a process that runs already. */
export function scopeCommand(scope: Scope, pid: number): string[] {
  const properties = [
    ['Slice', 's', scope.slice],
    ['Delegate', 'b', 'true'],
    ['DefaultDependencies', 'b', 'false'],
    ['PIDs', 'au', '1', String(pid)],
  ];
  const NO_AUXILIARY_UNITS = '0';
  return [
    'busctl', '--system', 'call', 'org.freedesktop.systemd1', '/org/freedesktop/systemd1',
    'org.freedesktop.systemd1.Manager', 'StartTransientUnit', 'ssa(sv)a(sa(sv))', scope.unit, 'replace',
    String(properties.length), ...properties.flat(), NO_AUXILIARY_UNITS,
  ]; // prettier-ignore
}

export function startScope(scope: Scope, pid: number): void {
  const [program, ...args] = scopeCommand(scope, pid);
  const r = spawnSync(program!, args, { encoding: 'utf8', timeout: 30_000 });
  if (r.error !== undefined) throw new UserError(`cannot ask systemd for ${scope.unit}: ${r.error.message}`);
  if (r.status === 0 || r.stderr.includes('already')) return;
  throw new UserError(`systemd does not start ${scope.unit}: ${r.stderr.trim()}`);
}
