/**
 * The container's mounts as the host finds them in its stub's mount namespace (launcher-view.c). Mount points are made there before
 * the sandbox's kernel makes them, which must not notice.
 */
import { lstatSync } from 'node:fs';
import { MS_REMOUNT } from '../../sentry/vfs/mount.ts';
import type { Export } from '../launch.ts';
import type { MountConfig, SandboxConfig } from '../sandbox-config.ts';

export function stubView(config: SandboxConfig, exports: readonly Export[]): string[] {
  const view: string[] = [];
  const above: string[] = [];
  const root = exports[0]!.path;
  const mayMake = config.root.overlay === 'none';
  for (const m of config.mounts) {
    if ((m.flags & MS_REMOUNT) !== 0 || m.destination === '/') continue;
    if (m.type === 'bind') {
      for (const bind of [m, ...(m.below ?? [])]) {
        const kind = exports[bind.exportIndex]!.overlay === undefined ? String(bind.exportIndex) : 't';
        view.push(`${mayMake ? '+' : '-'}${kind}:${bind.destination}`);
      }
    } else if (m.type === 'tmpfs' || m.type === 'devtmpfs' || m.type === 'ramfs') {
      const inRoot = !above.some((a) => m.destination.startsWith(a));
      view.push(`${mayMake && mayMakePoint(m, root, inRoot) ? '+' : '-'}t:${m.destination}`);
    }
    above.push(`${m.destination}/`);
  }
  return config.root.readOnly ? [...view, '-r:/'] : view;
}

/** A tmpfs without a mode looks like what it covers, if that was there. */
function mayMakePoint(m: MountConfig, root: string, inRoot: boolean): boolean {
  if (/(^|,)mode=/.test(m.data)) return true;
  if (m.type !== 'tmpfs' || !inRoot || !isMissing(root, m.destination)) return false;
  m.data = m.data === '' ? 'mode=1777' : `${m.data},mode=1777`;
  return true;
}

/** Nothing is there, and no link on the way. */
function isMissing(root: string, path: string): boolean {
  let at = root;
  for (const part of path.split('/')) {
    if (part === '') continue;
    at += `/${part}`;
    const found = lstatSync(at, { throwIfNoEntry: false });
    if (found === undefined) return true;
    if (!found.isDirectory()) return false;
  }
  return false;
}
