// What users see of the command line: exit codes, messages, the log.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { SyscallCounts } from '../../sentry/strace/syscall-report.ts';
import { platforms, run, runscTs, sandbox } from '../lib/sandbox.ts';

const platform = platforms[0]!;

test.each([
  [['sh', '-c', 'exit 42'], 42, ''],
  [['nosuchprogram'], 127, 'runsc-ts: exec: "nosuchprogram": executable file not found in $PATH\n'],
  [
    ['/nosuch/program'],
    127,
    'runsc-ts: exec: "/nosuch/program": stat /nosuch/program: no such file or directory\n',
  ],
  [['/etc/passwd'], 126, 'runsc-ts: exec: "/etc/passwd": permission denied\n'],
])('%j ends with %i', (command, status, stderr) => {
  const r = sandbox(platform, command, { cwd: '/' });
  expect({ status: r.status, stderr: r.stderr }).toEqual({ status, stderr });
});

test.each([
  [['--platform', 'kvm', 'do', '--', 'ls'], /--platform kvm: must be "systrap" or "ptrace"/],
  [['--strace=opne', 'do', '--', 'ls'], /"opne" is not an x86-64 system call/],
  [['do', '--network', 'bridge', '--', 'ls'], /--network bridge: must be "none" or "host"/],
  [['do', '--root', '/nosuch', '--', 'ls'], /--root \/nosuch: no such directory/],
  [['run', '--bundle', '/nosuch', 'x'], /cannot read \/nosuch\/config.json: ENOENT/],
  [['--syscall-report', '/dev/null/r', 'do', '--', 'ls'], /--syscall-report \/dev\/null\/r: E/],
  [['--log', '/nosuch/log', 'list'], /--log \/nosuch\/log: ENOENT/],
  [['run', '--bundle', '/tmp', 'a/b'], /invalid container ID format: "a\/b"/],
])('%j is refused in one line', (args, message) => {
  const r = run(runscTs, args);
  expect(r.status).toBe(1);
  expect(r.stderr).toMatch(message);
  expect(r.stderr.trim().split('\n').length).toBe(1);
});

test('the log names calls that are not implemented, and has the strace', () => {
  const dir = mkdtempSync(join(tmpdir(), 'log-'));
  const log = join(dir, 'log');
  const script = `python3 -c 'import ctypes; ctypes.CDLL(None).syscall(447, 0)'; :`;
  const r = sandbox(platform, ['/bin/sh', '-c', script], {
    cwd: '/',
    global: ['--debug-log', log, '--strace=execve,memfd_secret'],
  });
  const text = readFileSync(log, 'utf8');
  rmSync(dir, { recursive: true });
  expect(r).toMatchObject({ status: 0, stdout: '', stderr: '' });
  expect(text).toMatch(/not implemented: .*memfd_secret ×1/);
  expect(text).toMatch(/execve\(/);
  expect(text.match(/memfd_secret\(.*/g)).toEqual(['memfd_secret() = -1 ENOSYS']);
});

test('the report has each call with its errors and gaps, as text and as JSON, beside strace', () => {
  const dir = mkdtempSync(join(tmpdir(), 'report-'));
  const calls =
    'import ctypes; c = ctypes.CDLL(None); c.syscall(447, 0); c.prctl(9999); c.syscall(9999); c.syscall(227, 0, 0)';
  const report = (name: string) => {
    const r = sandbox(platform, ['/bin/sh', '-c', `python3 -c '${calls}'; :`], {
      cwd: '/',
      global: ['--syscall-report', join(dir, name), '--strace=memfd_secret'],
    });
    expect(r.status).toBe(0);
    expect(r.stderr).toMatch(/memfd_secret\(\) = -1 ENOSYS/);
    return readFileSync(join(dir, name), 'utf8');
  };
  const text = report('report');
  const json = JSON.parse(report('report.json')) as SyscallCounts;
  rmSync(dir, { recursive: true });
  expect(text).toMatch(/^\d+ system calls of \d+ kinds, \d+ of them not fully supported\n/);
  expect(text).toMatch(/^ +1 {2}memfd_secret +none +not implemented$/m);
  expect(text).toMatch(/^ +1 {2}clock_settime +none +the clocks are the host’s \(EPERM\)$/m);
  expect(text).toMatch(/^ +1 {2}prctl\(9999\) EINVAL$/m);
  const call = (name: string) => json.calls.find((c) => c.name === name);
  expect(call('syscall_9999')).toMatchObject({ nr: 9999, support: 'none', count: 1, errors: { ENOSYS: 1 } });
  expect(call('execve')).toMatchObject({ nr: 59, support: 'partial' });
  expect(call('exit_group')).toMatchObject({ support: 'full', errors: {} });
  expect(json.failures).toContainEqual({ call: 'prctl(9999)', error: 'EINVAL', count: 1 });
});

test('the command has the limits of its caller, the sandbox is not bound by them', () => {
  const limits = 'ulimit -Sn 77; ulimit -Sc 3; ulimit -Sf 1000; ulimit -s unlimited; ulimit -t 1000';
  const show = 'cat /proc/self/limits';
  const natively = run('/bin/sh', ['-c', `${limits}; ${show}; :`]);
  const r = run('/bin/sh', ['-c', `${limits}; "$0" --platform "$1" do -- ${show}; :`, runscTs, platform], {
    cwd: '/',
  });
  expect(r).toMatchObject({ stderr: '', stdout: natively.stdout });
});

test.each([[[]], [['--mount']]])(
  'root of a user namespace only starts sandboxes, unshare -Ur %j',
  (options) => {
    const command = [runscTs, '--platform', platform, 'do', '--', 'id', '-u'];
    const r = run('unshare', ['-Ur', ...options, ...command], { cwd: '/' });
    expect(r).toMatchObject({ status: 0, stdout: '0\n', stderr: '' });
  },
);

test('a current directory that is gone', () => {
  const script =
    'd=$(mktemp -d); cd $d; rmdir $d; "$0" --platform "$1" do -- pwd; "$0" --platform "$1" do --cwd / -- pwd';
  const r = run('/bin/sh', ['-c', script, runscTs, platform]);
  expect(r.stderr).toBe(
    'runsc-ts: the current directory does not exist any more: name another one, --cwd DIR\n',
  );
  expect(r.stdout).toBe('/\n');
});

test('limits that no sandbox can live with are named', () => {
  const script = 'ulimit -n 300; exec "$0" --platform "$1" do -- true';
  const r = run('setpriv', [
    ...['--bounding-set=-sys_resource', '--inh-caps=-sys_resource', '/bin/sh', '-c', script],
    ...[runscTs, platform],
  ]);
  expect(r).toMatchObject({ status: 125, stderr: 'runsc-ts: ulimit -Hn is 300: a sandbox needs 2048\n' });
});

test('a standard error that cannot be written is no end of the sandbox', () => {
  const script = '"$0" --platform "$1" --strace=write do -- echo out 2</dev/null';
  const r = run('/bin/sh', ['-c', script, runscTs, platform], { cwd: '/' });
  expect(r).toMatchObject({ status: 0, stdout: 'out\n' });
});

test("a standard stream that is the host's /dev/null is the container's", () => {
  const command = `'${runscTs}' --platform ${platform} do -- sh -c 'readlink /proc/self/fd/0; stat -L -c %t:%T /dev/stdin' </dev/null`;
  const r = run('/bin/sh', ['-c', command], { cwd: '/' });
  expect({ status: r.status, stdout: r.stdout }, r.stderr).toEqual({ status: 0, stdout: '/dev/null\n1:3\n' });
});

test('why guest processes cannot run here is said: another program listens to seccomp', () => {
  const program = `
import ctypes, subprocess, sys
class Filter(ctypes.Structure): _fields_ = [('len', ctypes.c_ushort), ('filter', ctypes.c_char_p)]
allow = Filter(1, bytes([6, 0, 0, 0, 0, 0, 0xff, 0x7f]))
assert ctypes.CDLL(None).syscall(317, 1, 8, ctypes.byref(allow)) >= 0
sys.exit(subprocess.call(sys.argv[1:]))`;
  const r = run('python3', ['-c', program, runscTs, '--platform', platform, 'do', '--', 'true']);
  expect(r.stderr).toContain(
    'guest processes cannot run here: the host refuses a seccomp filter with a listener',
  );
  expect(r.status).not.toBe(0);
});
