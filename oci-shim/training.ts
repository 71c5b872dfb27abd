/**
 * What build.js runs once, so that V8 has compiled what a start needs: a sandbox whose program starts others, writes files and
 * reads directories until it is ended, and the commands of a container's life.
 */

import type { GoferConfig, SandboxConfig } from './sandbox-config.ts';
import { NO_LIMITS } from '../sentry/kernel/container.ts';
import { standardMounts } from './standard-mounts.ts';
import { SPEC_VERSION } from './version.ts';
import {
  GOFER_PROGRAM,
  GOFER_V8_ARGS,
  launcherArgv,
  NODE_ARGS,
  SENTRY_DIST_FD,
  SENTRY_EXTRA_FD,
  SENTRY_V8_ARGS,
} from '../platform-ptrace/confine/launcher-protocol.ts';

const SCRIPT =
  'cd /tmp; while :; do ls -l / /proc/self >x; cat x | wc -l >y; mkdir d; mv x d/; rm -r d y; sleep 0.1; done';

const config: SandboxConfig = {
  id: 'training',
  platform: 'systrap',
  patching: 'busy',
  hostname: 'training',
  domainname: '(none)',
  process: {
    args: ['/bin/sh', '-c', SCRIPT],
    env: ['PATH=/usr/bin:/bin'],
    cwd: '/',
    uid: 0,
    gid: 0,
    additionalGids: [],
    umask: 0o022,
    capabilities: { bounding: [], effective: [], inheritable: [], permitted: [], ambient: [] },
    rlimits: {},
    noNewPrivileges: false,
    oomScoreAdj: 0,
    terminal: false,
  },
  root: { layers: [0], overlay: 'memory', readOnly: false },
  mounts: standardMounts(),
  maskedPaths: [],
  readonlyPaths: [],
  sysctl: {},
  linux: null,
  initUnkillable: false,
  pidsLimit: 0,
  limits: NO_LIMITS,
  network: 'none',
  managed: false,
  preservedFds: 0,
  strace: null,
  report: null,
  debugLog: false,
  exclusiveExports: [true],
};
const goferConfig: GoferConfig = { exports: [{ readOnly: true, hostSockets: false }], debugLog: false };

/** Descriptors of the launcher: 3 and 4 hold the configurations; 5 is donated to the sentry, there it is `fd`. */
export const training = {
  fd: SENTRY_EXTRA_FD,
  config: JSON.stringify(config),
  goferConfig: JSON.stringify(goferConfig),
  argv: (node: string, dist: string, sentryProgram: string): string[] =>
    launcherArgv({
      node,
      dist,
      sentryConfigFd: 3,
      goferConfigFd: 4,
      donatedFds: [5],
      sentryArgs: [...NODE_ARGS, ...SENTRY_V8_ARGS, `/proc/self/fd/${SENTRY_DIST_FD}/${sentryProgram}`],
      goferArgs: [...NODE_ARGS, ...GOFER_V8_ARGS, GOFER_PROGRAM],
      exports: [{ path: '/', readOnly: true }],
    }),
};

/** config.json of a container over the host's root, which it does not change. */
function specOf(...args: string[]): string {
  return JSON.stringify({
    ociVersion: SPEC_VERSION,
    root: { path: '/', readonly: true },
    hostname: 'training',
    process: { args, cwd: '/', env: ['PATH=/usr/bin:/bin'], user: { uid: 0, gid: 0 } },
    mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }],
    linux: {
      namespaces: ['pid', 'mount', 'ipc', 'uts', 'network'].map((type) => ({ type })),
      resources: { devices: [{ allow: false, access: 'rwm' }] },
    },
  });
}

export const cliTraining = {
  /** Name of the folder → its config.json. */
  bundles: { short: specOf('true'), long: specOf('sleep', '60') },
  /** The commands, with the bundles below `dir`. */
  commands: (dir: string): string[][] => {
    const global = ['--root', `${dir}/state`, '--log', `${dir}/log`, '--log-format', 'json'];
    const id = `training-${process.pid}`;
    return [
      ['create', '--bundle', `${dir}/long`, '--pid-file', `${dir}/pid`, id],
      ['start', id],
      ['state', id],
      ['exec', id, 'true'],
      ['list'],
      ['kill', id, 'KILL'],
      ['delete', '--force', id],
      ['run', '--bundle', `${dir}/short`, id],
    ].map((command) => [...global, ...command]);
  },
};
