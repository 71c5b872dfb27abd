/** `runsc-ts doctor`: what of this machine the sandbox needs, whether it is there, and what to do if it is not. */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { nativeDir } from '../../sentry/host/koffi.ffi.ts';
import { readCgroupHost, systemdRuns, type CgroupHost } from '../cgroup/host.ts';
import type { GlobalOptions } from '../global-options.ts';
import { UserError } from '../user-error.ts';
import { print } from '../output.ts';

export interface Finding {
  check: string;
  /** fail: sandboxes do not work. warn: something is missing that some want. */
  status: 'ok' | 'warn' | 'fail';
  detail: string;
  /** What to do. */
  advice?: string;
}

type Check = () => Omit<Finding, 'check'>;

const NODE_MIN = [20, 10];
const NODE_MAX = 23;
/** mount_setattr(2) is there. */
const KERNEL_MIN = [5, 12];
/** SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV is there: without it, signals can interrupt guests' clone calls. */
const KERNEL_GOOD = [5, 19];
const PARTS = ['launcher', 'stub', 'shim.so', 'koffi.node', 'sentry.cjs', 'gofer.cjs', 'runsc-ts'];

const ok = (detail: string): Omit<Finding, 'check'> => ({ status: 'ok', detail });
const warn = (detail: string, advice: string): Omit<Finding, 'check'> => ({ status: 'warn', detail, advice });
const fail = (detail: string, advice: string): Omit<Finding, 'check'> => ({ status: 'fail', detail, advice });

const read = (path: string): string | null => {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return null;
  }
};

const isRoot = process.getuid!() === 0;

function versionAtLeast(version: string, [major, minor]: readonly number[]): boolean {
  const [a = 0, b = 0] = version.split('.').map((n) => parseInt(n, 10));
  return a > major! || (a === major! && b >= minor!);
}

export function checkKernel(release: string): Omit<Finding, 'check'> {
  if (versionAtLeast(release, KERNEL_GOOD)) return ok(release);
  if (versionAtLeast(release, KERNEL_MIN))
    return warn(release, `Linux ${KERNEL_GOOD.join('.')} or newer is tested`);
  return fail(release, `use Linux ${KERNEL_MIN.join('.')} or newer`);
}

export function checkNode(version: string): Omit<Finding, 'check'> {
  if (versionAtLeast(version, NODE_MIN) && !versionAtLeast(version, [NODE_MAX, 0])) return ok(version);
  return fail(version, `use Node ${NODE_MIN.join('.')} or newer, but below ${NODE_MAX}`);
}

function checkSeccomp(): Omit<Finding, 'check'> {
  const actions = read('/proc/sys/kernel/seccomp/actions_avail')?.split(' ') ?? [];
  const missing = ['user_notif', 'trap', 'kill_process'].filter((a) => !actions.includes(a));
  if (missing.length === 0) return ok('user_notif, trap, kill_process');
  return fail(`${missing.join(', ')} missing`, 'use a kernel with CONFIG_SECCOMP_FILTER');
}

function checkUserNamespaces(): Omit<Finding, 'check'> {
  if (!existsSync('/proc/self/ns/user')) {
    return fail('the kernel has none', 'use a kernel with CONFIG_USER_NS');
  }
  if (Number(read('/proc/sys/user/max_user_namespaces') ?? 1) === 0) {
    return fail('user.max_user_namespaces is 0', 'sysctl -w user.max_user_namespaces=15000');
  }
  if (isRoot) return ok('as root');
  if (read('/proc/sys/kernel/unprivileged_userns_clone') === '0') {
    return fail('refused to ordinary users', 'sysctl -w kernel.unprivileged_userns_clone=1, or run as root');
  }
  if (read('/proc/sys/kernel/apparmor_restrict_unprivileged_userns') === '1') {
    return fail(
      'restricted by AppArmor for ordinary users',
      'sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or run as root',
    );
  }
  return ok('for ordinary users, too');
}

function checkPtrace(): Omit<Finding, 'check'> {
  const scope = read('/proc/sys/kernel/yama/ptrace_scope');
  if (scope === '3') {
    return warn(
      'kernel.yama.ptrace_scope is 3: --platform ptrace cannot work',
      'use the default platform, systrap',
    );
  }
  return ok(scope === null ? 'no Yama' : `kernel.yama.ptrace_scope ${scope}`);
}

function checkParts(): Omit<Finding, 'check'> {
  const missing = PARTS.filter((p) => !existsSync(join(nativeDir, p)));
  return missing.length === 0
    ? ok(nativeDir)
    : fail(`${missing.join(', ')} missing in ${nativeDir}`, 'npm run build');
}

export function checkCgroups(host: CgroupHost | null, root: boolean): Omit<Finding, 'check'> {
  if (host === null)
    return warn('none mounted', 'limits will not be in force: mount cgroup2 on /sys/fs/cgroup');
  const names = [...host.hierarchies.keys()];
  const unified = host.hierarchies.get('unified');
  const controllers =
    host.version === 1 ? names : (read(`${unified!.mount}/cgroup.controllers`)?.split(' ') ?? []);
  const missing = ['memory', 'cpu', 'pids'].filter((c) => !controllers.includes(c));
  const what = `version ${host.version}: ${controllers.filter((c) => c !== 'unified').join(', ')}`;
  if (!root) return warn(what, 'limits will not be in force for an ordinary user without delegated groups');
  if (missing.length > 0) {
    return warn(
      `${what}; without ${missing.join(', ')}`,
      'these limits will be refused: mount the controllers',
    );
  }
  return ok(systemdRuns() ? `${what}; systemd runs` : what);
}

function checkState(globals: GlobalOptions): Omit<Finding, 'check'> {
  let dir = globals.root;
  while (!existsSync(dir)) dir = join(dir, '..');
  try {
    if (!statSync(dir).isDirectory())
      return fail(`${dir} is not a directory`, 'give another one with --root');
    accessSync(dir, constants.W_OK);
    return ok(globals.root);
  } catch {
    return fail(`${globals.root} cannot be written`, 'give another directory with --root');
  }
}

function findProgram(name: string): string | null {
  const dirs = (process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin').split(delimiter);
  return dirs.map((d) => join(d, name)).find((p) => existsSync(p)) ?? null;
}

function checkCompiler(): Omit<Finding, 'check'> {
  const cc = findProgram('cc');
  return cc === null ? warn('no cc', 'only needed to build: apt-get install gcc libc6-dev') : ok(cc);
}

function checkDocker(): Omit<Finding, 'check'> {
  const dockerd = findProgram('dockerd');
  if (dockerd === null) return ok('not installed');
  const config = '/etc/docker/daemon.json';
  try {
    const daemon = JSON.parse(readFileSync(config, 'utf8')) as {
      runtimes?: Record<string, { path?: string }>;
    };
    const mine = Object.entries(daemon.runtimes ?? {}).find(([, r]) => r.path?.endsWith('/runsc-ts'));
    if (mine !== undefined) {
      const [name, { path }] = mine;
      if (existsSync(path!)) return ok(`runtime ${name} in ${config}`);
      return warn(`runtime ${name} in ${config} is ${path}, which is not there`, 'runsc-ts install');
    }
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code !== 'ENOENT') {
      return warn(`${config}: ${(e as Error).message}`, 'mend the file');
    }
  }
  return warn(`no runtime of ours in ${config}`, 'runsc-ts install, then systemctl reload docker');
}

function checkPodman(): Omit<Finding, 'check'> {
  const podman = findProgram('podman');
  if (podman === null) return ok('not installed');
  return ok(`${podman}: podman --runtime ${join(nativeDir, 'runsc-ts')} run …`);
}

function checkLsm(): Omit<Finding, 'check'> {
  if (read('/sys/fs/selinux/enforce') === '1') {
    return warn(
      'SELinux is enforcing',
      'labels are not applied: have the policy allow the sandbox what it needs',
    );
  }
  return ok(read('/sys/kernel/security/lsm') ?? 'no security module is mounted');
}

/** The proof: a sandbox with one command. */
function checkSandbox(platform: string): Omit<Finding, 'check'> {
  const args = ['--platform', platform, 'do', '--', '/bin/sh', '-c', 'echo it works'];
  const r = spawnSync(join(nativeDir, 'runsc-ts'), args, {
    encoding: 'utf8',
    timeout: 60_000,
    killSignal: 'SIGTERM',
    cwd: '/',
  });
  if (r.status === 0 && r.stdout === 'it works\n') return ok('a command ran in a sandbox');
  const said = (r.stderr ?? '').trim().split('\n')[0] || r.error?.message || `exit status ${r.status}`;
  return fail(said, `runsc-ts --platform ${platform} --debug-log /tmp/log do -- true; then see /tmp/log`);
}

function diagnose(globals: GlobalOptions): Finding[] {
  const checks: [string, Check][] = [
    ['kernel', () => checkKernel(read('/proc/sys/kernel/osrelease') ?? '')],
    [
      'processor',
      () => (process.arch === 'x64' ? ok('x86-64') : fail(process.arch, 'only x86-64 is supported')),
    ],
    ['node', () => checkNode(process.versions.node)],
    ['program files', checkParts],
    ['seccomp', checkSeccomp],
    ['user namespaces', checkUserNamespaces],
    ['ptrace', checkPtrace],
    ['cgroups', () => checkCgroups(readCgroupHost(), isRoot)],
    ['state directory', () => checkState(globals)],
    ['security modules', checkLsm],
    ['compiler', checkCompiler],
    ['docker', checkDocker],
    ['podman', checkPodman],
    ['sandbox, systrap', () => checkSandbox('systrap')],
    ['sandbox, ptrace', () => checkSandbox('ptrace')],
  ];
  return checks.map(([check, run]) => ({ check, ...run() }));
}

export function doctor(format: string, globals: GlobalOptions): void {
  if (format !== 'text' && format !== 'json') {
    throw new UserError(`--format ${format}: must be "text" or "json"`);
  }
  const findings = diagnose(globals);
  const failed = findings.filter((f) => f.status === 'fail').length;
  if (format === 'json') {
    print(`${JSON.stringify({ ok: failed === 0, findings }, null, 2)}\n`);
  } else {
    for (const f of findings) print(line(f));
    print(failed === 0 ? 'Sandboxes can run here.\n' : `Not ready: ${failed} to mend.\n`);
  }
  if (failed > 0) process.exitCode = 1;
}

function line(f: Finding): string {
  const advice = f.advice === undefined ? '' : `\n      → ${f.advice}`;
  return `${f.status.padEnd(4)}  ${f.check.padEnd(17)} ${f.detail}${advice}\n`;
}
