/** Which sandbox a new container belongs to: its own, or that of its pod's first container. */
import { statusOf, type ContainerState } from '../state/container-state.ts';
import type { StateDir } from '../state/state-dir.ts';

/** Annotations that say so: containerd's CRI plugin; CRI-O and Podman. */
const GROUPINGS: readonly (readonly [type: string, sandbox: string])[] = [
  ['io.kubernetes.cri.container-type', 'io.kubernetes.cri.sandbox-id'],
  ['io.kubernetes.cri-o.ContainerType', 'io.kubernetes.cri-o.SandboxID'],
];

export type Shares = Partial<Record<'pid' | 'ipc' | 'uts' | 'net', string>>;

export interface Membership {
  /** A container of the sandbox to join. */
  readonly sandbox: ContainerState;
  /** Namespaces of its containers that are shared. */
  readonly shares: Shares;
}

const KINDS: Record<string, keyof Shares> = { pid: 'pid', ipc: 'ipc', uts: 'uts', network: 'net' };

/**
 * null: a sandbox of its own. Namespaces are named by the pid of another container's stub (/proc/PID/ns/…); only inside one
 * sandbox can pid and ipc namespaces be shared at all.
 */
export function membership(
  states: StateDir,
  annotations: Readonly<Record<string, string>>,
  namespaces: readonly { readonly type: string; readonly path: string | null }[],
): Membership | null {
  const joined = namespaces.filter((n) => n.path !== null);
  const grouped = GROUPINGS.find(([type, id]) => annotations[type] === 'container' && annotations[id]);
  if (grouped === undefined && !joined.some((n) => n.type === 'pid' || n.type === 'ipc')) return null;
  const all = states.list().filter((s) => statusOf(s) !== 'stopped');
  const shares: Shares = {};
  let sandbox = grouped === undefined ? undefined : all.find((s) => s.id === annotations[grouped[1]]);
  for (const n of joined) {
    const kind = KINDS[n.type];
    const pid = /^\/proc\/(\d+)\/ns\//.exec(n.path!)?.[1];
    const other = pid === undefined ? undefined : all.find((s) => s.stub.pid === Number(pid));
    if (kind === undefined || other === undefined) continue;
    if (sandbox === undefined && (kind === 'pid' || kind === 'ipc')) sandbox = other;
    if (sandbox !== undefined && other.sandbox === sandbox.sandbox) shares[kind] = other.id;
  }
  return sandbox === undefined ? null : { sandbox, shares };
}
