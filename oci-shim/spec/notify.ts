/** Where containers find the socket of a service manager (sd_notify(3)), under runc and Podman alike. */
import type { Export } from '../launch.ts';
import type { SandboxConfig } from '../sandbox-config.ts';

export const NOTIFY_DIRECTORY = '/run/notify';
export const NOTIFY_NAME = 'notify.sock';
export const NOTIFY_VARIABLE = `NOTIFY_SOCKET=${NOTIFY_DIRECTORY}/${NOTIFY_NAME}`;

/**
 * An engine that has made the socket itself (Podman's `--sdnotify=container`) binds its directory there and says so: that is meant
 * to be connected to. No other place counts, as variables may come from an image.
 */
export function allowNotifySocket({ mounts, process }: SandboxConfig, exports: readonly Export[]): void {
  if (!process.env.includes(NOTIFY_VARIABLE)) return;
  for (const m of mounts) {
    if (m.type === 'bind' && m.destination === NOTIFY_DIRECTORY && m.exportIndex >= 0) {
      exports[m.exportIndex]!.hostSockets = true;
    }
  }
}
