/** Which network namespace the stub and the sentry of a container run in, as `linux.namespaces` says. */
import { openSync } from 'node:fs';
import { isOwnNamespace } from '../spec/namespaces.ts';
import { UserError } from '../user-error.ts';

export type NetworkPlace =
  /** The caller's. */
  | { readonly kind: 'host' }
  /** A new one, in which engines place interfaces by the stub's pid. */
  | { readonly kind: 'new' }
  /** Descriptor of one that is there; the caller's to close. */
  | { readonly kind: 'join'; readonly fd: number };

export function networkPlace(
  namespaces: readonly { readonly type: string; readonly path: string | null }[],
): NetworkPlace {
  const network = namespaces.find((n) => n.type === 'network');
  if (network === undefined) return { kind: 'host' };
  if (network.path === null) return { kind: 'new' };
  let fd: number;
  try {
    fd = openSync(network.path, 'r');
  } catch (e) {
    throw new UserError(
      `cannot join the network namespace ${network.path}: ${(e as NodeJS.ErrnoException).code ?? String(e)}`,
    );
  }
  // An engine's name for the host's own (docker run --network host): it must stay as it is.
  return isOwnNamespace('network', network.path) ? { kind: 'host' } : { kind: 'join', fd };
}
