/** What is known of a container between two calls of the CLI: the contents of its state.json. */
import type { CgroupState } from '../cgroup/cgroup.ts';
import type { Hooks } from '../hooks/hooks-config.ts';
import { isAlive, type HostProcess } from './host-process.ts';

export type Status = 'creating' | 'created' | 'running' | 'paused' | 'stopped';

export interface ContainerState {
  /** Of this file's layout. */
  readonly version: 1;
  readonly ociVersion: string;
  readonly id: string;
  /** Absolute. */
  readonly bundle: string;
  /** Absolute path of the root file system. */
  readonly rootfs: string;
  readonly annotations: Record<string, string>;
  /** RFC 3339. */
  readonly created: string;
  /** Name of the user who created it. */
  readonly owner: string;
  /** Id of the container whose stub holds the sandbox: its own, or that of the pod's first one. */
  readonly sandbox: string;
  /** The init stub: its end is the container's. pid 0 until it is started. */
  stub: HostProcess;
  /** How far the CLI has brought it; whether it still runs is the stub's to say. */
  phase: 'creating' | 'created' | 'running';
  paused: boolean;
  /** Host pids of exec stubs that were started, the dead among them. */
  execs: HostProcess[];
  /** `hooks` of config.json, for start and delete: the bundle may be gone by then. */
  readonly hooks: Hooks | null;
  /** `process` of config.json, from which `exec` and startContainer hooks take what they are not told. */
  readonly process: Record<string, unknown>;
  /** Its groups on the host. */
  cgroup: CgroupState | null;
  /** Where they are: for a create that was killed before it could note them. */
  readonly cgroupsPath: string;
  readonly systemdCgroup: boolean;
}

export function statusOf(s: ContainerState): Status {
  if (s.stub.pid === 0) return 'creating';
  if (!isAlive(s.stub)) return 'stopped';
  return s.paused ? 'paused' : s.phase;
}

/** What `state` and `list` print: runc's fields in runc's order. */
export function shownState(s: ContainerState) {
  const status = statusOf(s);
  return {
    ociVersion: s.ociVersion,
    id: s.id,
    pid: status === 'stopped' ? 0 : s.stub.pid,
    status,
    bundle: s.bundle,
    rootfs: s.rootfs,
    created: s.created,
    ...annotationsOf(s),
    owner: s.owner,
  };
}

/** Left out where there are none. */
function annotationsOf({ annotations }: ContainerState): { annotations?: Record<string, string> } {
  return Object.keys(annotations).length === 0 ? {} : { annotations };
}

/** The state of the runtime-spec (runtime.md, "State"), as hooks get it. */
export interface OciState {
  ociVersion: string;
  id: string;
  status: Status;
  pid?: number;
  bundle: string;
  annotations?: Record<string, string>;
}

export function ociState(s: ContainerState, status: Status = statusOf(s)): OciState {
  return {
    ociVersion: s.ociVersion,
    id: s.id,
    status,
    ...(status === 'stopped' ? {} : { pid: s.stub.pid }),
    bundle: s.bundle,
    ...annotationsOf(s),
  };
}
