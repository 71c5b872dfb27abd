/** Turns the CLI process into the launcher of a sandbox. Returns only by throwing. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CAP_NET_RAW } from '../sentry/auth/capability.ts';
import { errnoName } from '../sentry/abi/errno.ts';
import * as ms from '../sentry/vfs/mount.ts';
import { nativeDir } from '../sentry/host/koffi.ffi.ts';
import { becomeLauncher } from '../platform-ptrace/confine/become-launcher.ts';
import {
  GOFER_PROGRAM,
  GOFER_V8_ARGS,
  NODE_ARGS,
  SENTRY_PROGRAM,
  SENTRY_V8_ARGS,
  type LauncherOptions,
} from '../platform-ptrace/confine/launcher-protocol.ts';
import type { OwnGroups } from './cgroup/sandbox-groups.ts';
import { jsonMemfd } from './control/client.ts';
import type { GlobalOptions } from './global-options.ts';
import { openDebugLog, openSyscallReport, reportConfig } from './log-files.ts';
import type { GoferConfig, IdMapping, SandboxConfig } from './sandbox-config.ts';
import { UserError } from './user-error.ts';

/** A host tree that the gofer serves. */
export interface Export {
  path: string;
  readOnly: boolean;
  /** Nobody else changes it while the sandbox runs. */
  exclusive: boolean;
  /** Its sockets may be connected to, whatever `--host-uds` says. */
  hostSockets?: boolean;
  /** Ids of its files (a mount's uidMappings and gidMappings). */
  idMap?: { recursive: boolean; uids: IdMapping[]; gids: IdMapping[] };
  /** Options of an overlay of the host's on `path`. */
  overlay?: string;
  /** MS_*: one mount, without those below it, that has these flags inside. */
  alone?: number;
}

/** Host ids of the sentry and the guests' host processes when root starts the sandbox. */
const SANDBOX_UID = 65534;
const SANDBOX_GID = 65534;

/** As /proc/PID/uid_map takes them. */
export const mapLines = (maps: readonly IdMapping[]): string =>
  maps.map((m) => `${m.containerID} ${m.hostID} ${m.size}\n`).join('');

/** What every launcher of a sandbox, or of a gofer for one more container, is told. `fd` places a descriptor in it. */
export function launcherOptions(
  config: SandboxConfig,
  exports: readonly Export[],
  globals: GlobalOptions,
  fd: (own: number) => number,
): LauncherOptions {
  if (!existsSync(join(nativeDir, 'launcher'))) {
    throw new UserError(`${join(nativeDir, 'launcher')} is missing: run "npm run build" first`);
  }
  const logFd = openDebugLog(globals, config.id);
  const goferConfig: GoferConfig = {
    exports: exports.map(({ readOnly, hostSockets = globals.hostSockets }) => ({ readOnly, hostSockets })),
    debugLog: globals.debugLog !== null,
  };
  const json = (value: unknown) => fd(jsonMemfd(Buffer.from(JSON.stringify(value))));
  return {
    node: process.execPath,
    dist: nativeDir,
    uid: SANDBOX_UID,
    gid: SANDBOX_GID,
    ...(logFd >= 0 ? { logFd: fd(logFd) } : {}),
    sentryConfigFd: json(config),
    goferConfigFd: json(goferConfig),
    sentryArgs: [...NODE_ARGS, ...SENTRY_V8_ARGS, SENTRY_PROGRAM],
    goferArgs: [...NODE_ARGS, ...GOFER_V8_ARGS, GOFER_PROGRAM],
    sentrySnapshot: 'sentry',
    goferSnapshot: 'gofer',
    exports: exports.map(({ path, readOnly, idMap: m, overlay, alone }) => ({
      path,
      readOnly,
      ...(alone === undefined ? {} : { alone: flagLetters(alone) }),
      ...(overlay === undefined ? {} : { overlay }),
      ...(m === undefined
        ? {}
        : { idMap: { recursive: m.recursive, uids: mapLines(m.uids), gids: mapLines(m.gids) } }),
    })),
  };
}

/** Flags that count where files are opened and read: on the host (launcher.h). */
function flagLetters(flags: number): string {
  const has = (flag: number): boolean => (flags & flag) !== 0;
  const atime = has(ms.MS_NOATIME) ? 'n' : has(ms.MS_STRICTATIME) ? 's' : 'r';
  return `${has(ms.MS_RDONLY) ? '' : 'w'}${has(ms.MS_NOEXEC) ? '' : 'x'}${has(ms.MS_NODIRATIME) ? 'd' : ''}${atime}`;
}

/** Whoever can never have CAP_NET_RAW needs no process that opens such sockets. */
export function mayUseRawSockets(config: SandboxConfig): boolean {
  return config.process.capabilities.bounding.includes(CAP_NET_RAW);
}

export function launch(
  config: SandboxConfig,
  exports: readonly Export[],
  globals: GlobalOptions,
  groups: OwnGroups | null = null,
): never {
  const figures = groups?.figures() ?? { names: [], fds: [] };
  config.figures = figures.names;
  config.rawSockets = config.network === 'none' && mayUseRawSockets(config);
  config.report = reportConfig(globals, figures.fds.length);
  const report = openSyscallReport(globals, config.id);
  const options: LauncherOptions = {
    ...launcherOptions(config, exports, globals, (own) => own),
    ...(config.network === 'host' ? { network: 'host' as const } : {}),
    rawSockets: config.rawSockets,
    donatedFds: report === null ? figures.fds : [...figures.fds, report],
  };
  let r: number;
  try {
    r = becomeLauncher({ ...options, ...groups?.enter() });
  } catch (e) {
    groups?.undo();
    throw e;
  }
  groups?.undo();
  throw new UserError(`cannot start ${join(nativeDir, 'launcher')}: ${errnoName(-r)}`, 125);
}
