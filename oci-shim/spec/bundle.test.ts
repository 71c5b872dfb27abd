import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { GlobalOptions } from '../global-options.ts';
import { parseLimits } from './own-limits.ts';
import { loadBundle } from './bundle.ts';

const globals: GlobalOptions = {
  platform: 'systrap',
  systrapPatching: 'busy',
  strace: null,
  debugLog: null,
  syscallReport: null,
  root: '/run/x',
  log: { file: null, format: 'text' },
  hostSockets: false,
  overlay: false,
  systemdCgroup: false,
  ignoreCgroups: false,
};
let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'bundle-'));
  mkdirSync(join(dir, 'rootfs'));
});
afterEach(() => rmSync(dir, { recursive: true }));

const good = () => ({
  ociVersion: '1.0.2',
  process: { args: ['/bin/true'], cwd: '/', user: { uid: 1, gid: 2 } },
  root: { path: 'rootfs' },
});

function load(spec: unknown) {
  writeFileSync(join(dir, 'config.json'), typeof spec === 'string' ? spec : JSON.stringify(spec));
  return loadBundle('c1', dir, 'none', globals);
}

test('a minimal bundle becomes a configuration', () => {
  const { config, exports } = load(good());
  expect(config.process).toMatchObject({ args: ['/bin/true'], cwd: '/', uid: 1, gid: 2, umask: 0o22 });
  expect(exports).toEqual([{ path: join(dir, 'rootfs'), readOnly: false, exclusive: true }]);
});

test('sockets of a bind are the host’s only where an engine puts the service manager’s', () => {
  const allowed = (env: string, destination: string): boolean | undefined => {
    const process = { ...good().process, env: [env] };
    const mounts = [{ destination, type: 'bind', source: dir, options: ['rbind'] }];
    return load({ ...good(), process, mounts }).exports[1]!.hostSockets;
  };
  expect(allowed('NOTIFY_SOCKET=/run/notify/notify.sock', '/run/notify')).toBe(true);
  expect(allowed('NOTIFY_SOCKET=/run/notify/notify.sock', '/run')).toBeUndefined();
  expect(allowed('NOTIFY_SOCKET=/volume/other.sock', '/volume')).toBeUndefined();
  expect(allowed('A=1', '/run/notify')).toBeUndefined();
});

test('rlimits at 2^64-1 are unlimited', () => {
  const spec = JSON.stringify(good()).replace(
    '"cwd"',
    '"rlimits":[{"type":"RLIMIT_NOFILE","soft":10,"hard":18446744073709551615}],"cwd"',
  );
  expect(load(spec).config.process.rlimits[7]).toEqual({ soft: 10, hard: -1 });
});

test('an overlay is mounted by the host, and served like a bind', () => {
  const mount = (options: string[]) => ({
    ...good(),
    mounts: [{ destination: '/o', type: 'overlay', options }],
  });
  const lower = join(dir, 'a:b');
  mkdirSync(lower);
  const { config, exports } = load(
    mount([`lowerdir=${lower.replace(':', '\\:')}:/bin`, 'upperdir=/u', 'ro', 'private']),
  );
  expect(config.mounts.at(-1)).toMatchObject({ destination: '/o', type: 'bind', exportIndex: 1, data: '' });
  const overlay = `lowerdir=${lower.replace(':', '\\:')}:/bin,upperdir=/u`;
  expect(exports[1]).toEqual({ path: lower, readOnly: true, exclusive: false, overlay });
  expect(() => load(mount(['upperdir=/u']))).toThrow(/options.*an overlay needs a lowerdir/);
  expect(() => load(mount(['lowerdir=/nosuch']))).toThrow(/stat \/nosuch: no such file/);
});

test('limits of /proc/PID/limits', () => {
  const text = `Limit                     Soft Limit           Hard Limit           Units     
Max cpu time              unlimited            unlimited            seconds   
Max file size             10                   unlimited            bytes     
Max data size             18446744073709551614 18446744073709551614 bytes     
`;
  expect(parseLimits(text)).toEqual({
    0: { soft: -1, hard: -1 },
    1: { soft: 10, hard: -1 },
    2: { soft: 2 ** 64, hard: 2 ** 64 },
  });
});

const refused: [string, (s: ReturnType<typeof good>) => unknown, RegExp][] = [
  ['no args', (s) => ({ ...s, process: { ...s.process, args: [] } }), /process\.args/],
  [
    'relative cwd',
    (s) => ({ ...s, process: { ...s.process, cwd: 'x' } }),
    /process\.cwd "x": must be an absolute/,
  ],
  [
    'a variable without a value',
    (s) => ({ ...s, process: { ...s.process, env: ['A'] } }),
    /invalid environment variable: "A"/,
  ],
  [
    'a variable without a name',
    (s) => ({ ...s, process: { ...s.process, env: ['=1'] } }),
    /environment variable name can't be empty: "=1"/,
  ],
  [
    'more effective capabilities than permitted ones',
    (s) => ({ ...s, process: { ...s.process, capabilities: { effective: ['CAP_KILL'] } } }),
    /process\.capabilities\.effective: must be a subset of permitted/,
  ],
  [
    'time offsets without a time namespace',
    (s) => ({ ...s, linux: { timeOffsets: { boottime: { secs: 1 } } } }),
    /linux\.timeOffsets .*time namespace is not enabled/,
  ],
  ['another system', (s) => ({ ...s, vm: { a: 1 } }), /vm .*only Linux containers/],
  ['a version of the future', (s) => ({ ...s, ociVersion: '2.0.0' }), /ociVersion "2.0.0": must be/],
  ['no version', (s) => ({ ...s, ociVersion: 'invalid' }), /ociVersion "invalid": must be/],
  ['missing root', (s) => ({ ...s, root: { path: 'nope' } }), /root\.path "nope"/],
  [
    'uid out of range',
    (s) => ({ ...s, process: { ...s.process, user: { uid: -1 } } }),
    /process\.user\.uid -1/,
  ],
  [
    'bad mount type',
    (s) => ({ ...s, mounts: [{ destination: '/x', type: 'nfs' }] }),
    /error mounting "nfs" to rootfs at "\/x": mount nfs: no such device/,
  ],
  [
    'mounts with ids of their own',
    (s) => ({ ...s, mounts: [{ destination: '/x', source: '/tmp', options: ['bind', 'idmap'] }] }),
    /uidMappings .*needs uidMappings and gidMappings/,
  ],
  [
    'mounts inside of /proc',
    (s) => ({ ...s, mounts: [{ destination: '/proc/self', source: '/tmp', options: ['bind'] }] }),
    /"\/proc\/self" cannot be mounted because it is inside \/proc/,
  ],
  [
    'unknown rlimit',
    (s) => ({ ...s, process: { ...s.process, rlimits: [{ type: 'RLIMIT_WAT', soft: 1, hard: 1 }] } }),
    /invalid rlimit type: RLIMIT_WAT/,
  ],
  [
    'rlimit twice',
    (s) => {
      const one = { type: 'RLIMIT_NOFILE', soft: 1, hard: 1 };
      return { ...s, process: { ...s.process, rlimits: [one, one] } };
    },
    /rlimits\[1\]\.type "RLIMIT_NOFILE": given twice/,
  ],
  [
    'hostname of a shared UTS namespace',
    (s) => ({ ...s, hostname: 'x', linux: { namespaces: [] } }),
    /unable to set hostname without a private UTS namespace/,
  ],
  [
    'a namespace twice',
    (s) => ({ ...s, linux: { namespaces: [{ type: 'pid' }, { type: 'pid' }] } }),
    /duplicated ns "pid"/,
  ],
  [
    'an unknown namespace',
    (s) => ({ ...s, linux: { namespaces: [{ type: 'net' }] } }),
    /namespace "net" does not exist/,
  ],
  [
    'a namespace of another type',
    (s) => ({ ...s, linux: { namespaces: [{ type: 'network', path: '/proc/self/ns/mnt' }] } }),
    /is not a namespace of type "network"/,
  ],
  [
    'a namespace that is not there',
    (s) => ({ ...s, linux: { namespaces: [{ type: 'network', path: '/nosuch' }] } }),
    /namespace path: lstat \/nosuch: no such file or directory/,
  ],
  [
    'no namespace at all',
    (s) => ({ ...s, linux: { namespaces: [{ type: 'network', path: '/etc/passwd' }] } }),
    /is not a namespace/,
  ],
  [
    'masked paths of a shared mount namespace',
    (s) => ({ ...s, linux: { maskedPaths: ['/x'] } }),
    /without a private MNT namespace/,
  ],
  [
    'sysctls that belong to the host',
    (s) => ({ ...s, linux: { sysctl: { 'vm.swappiness': '1' } } }),
    /sysctl "vm.swappiness" is not in a separate kernel namespace/,
  ],
  [
    'sysctls of a shared namespace',
    (s) => ({ ...s, linux: { sysctl: { 'net.ipv4.ip_forward': '1' } } }),
    /sysctl "net.ipv4.ip_forward" not allowed in host network namespace/,
  ],
  [
    'sysctls of the runtime’s network by its path',
    (s) => ({
      ...s,
      linux: {
        namespaces: [{ type: 'network', path: '/proc/self/ns/net' }],
        sysctl: { 'net.ipv4.ip_forward': '1' },
      },
    }),
    /sysctl "net.ipv4.ip_forward" not allowed in host network namespace/,
  ],
  [
    'unknown propagation',
    (s) => ({ ...s, linux: { rootfsPropagation: 'wat' } }),
    /rootfsPropagation=wat is not supported/,
  ],
  [
    'unknown seccomp action',
    (s) => ({ ...s, linux: { seccomp: { defaultAction: 'SCMP_ACT_WAT' } } }),
    /seccomp\.defaultAction "SCMP_ACT_WAT": this seccomp action is not known/,
  ],
  ['cache allocation', (s) => ({ ...s, linux: { intelRdt: { closID: 'x' } } }), /intelRdt .*not supported/],
  [
    'hooks without a path',
    (s) => ({ ...s, hooks: { poststart: [{ args: ['x'] }] } }),
    /hooks\.poststart\[0\]\.path \(missing\)/,
  ],
  ['NUL byte', (s) => ({ ...s, process: { ...s.process, args: ['a\0b'] } }), /NUL/],
];

test.each(refused)('refused: %s', (_name, change, message) => {
  expect(() => load(change(good()))).toThrow(message);
});

const warned: [string, (s: ReturnType<typeof good>) => unknown, RegExp][] = [
  ['unknown field', (s) => ({ ...s, wat: 1 }), /wat 1: unknown field, ignored/],
  ['unknown process field', (s) => ({ ...s, process: { ...s.process, wat: 1 } }), /process\.wat 1: unknown/],
  [
    'unknown capabilities',
    (s) => ({ ...s, process: { ...s.process, capabilities: { bounding: ['CAP_X'] } } }),
    /ignoring unknown or unavailable capabilities: \[CAP_X\]/,
  ],
  [
    'security modules',
    (s) => ({ ...s, process: { ...s.process, apparmorProfile: 'x' } }),
    /process\.apparmorProfile "x": security modules have no effect/,
  ],
  [
    'relative paths',
    (s) => ({ ...s, linux: { namespaces: [{ type: 'mount' }], readonlyPaths: ['x'] } }),
    /linux\.readonlyPaths .*"x" is not absolute/,
  ],
  [
    'ids without a user namespace',
    (s) => ({ ...s, linux: { uidMappings: [{ containerID: 0, hostID: 1, size: 1 }] } }),
    /linux\.uidMappings .*no effect: there is no user namespace/,
  ],
];

test.each(warned)('warned about: %s', (_name, change, message) => {
  const { warnings } = load(change(good()));
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toMatch(message);
});

test('mount options become flags, propagation, recursive flags and data', () => {
  const options = ['nosuid', 'ro', 'rw', 'noatime', 'rro', 'rnoexec', 'rshared', 'size=1k', 'tmpcopyup'];
  const mounts = [{ destination: '/x/../y/', type: 'tmpfs', source: 'none', options }];
  expect(load({ ...good(), mounts }).config.mounts).toEqual([
    {
      destination: '/y',
      type: 'tmpfs',
      exportIndex: -1,
      source: 'none',
      flags: 2 | 1024,
      data: 'size=1k',
      propagation: [(1 << 20) | 16384],
      recursive: { set: 1 | 8, clear: 0 },
      copyUp: true,
    },
  ]);
});

test('seccomp: names become numbers, unknown ones and what holds anyway are left out, newer calls are ENOSYS', () => {
  const seccomp = {
    defaultAction: 'SCMP_ACT_ERRNO',
    architectures: ['SCMP_ARCH_X86_64'],
    syscalls: [
      { names: ['read', 'nosuchcall'], action: 'SCMP_ACT_ALLOW' },
      { names: ['write'], action: 'SCMP_ACT_ERRNO', errnoRet: 1 },
      {
        names: ['clone'],
        action: 'SCMP_ACT_ALLOW',
        args: [{ index: 0, value: 2114060288, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }],
      },
      {
        names: ['personality'],
        action: 'SCMP_ACT_ALLOW',
        args: [
          { index: 0, value: 0, op: 'SCMP_CMP_EQ' },
          { index: 0, value: 0xffffffff, op: 'SCMP_CMP_EQ' },
        ],
      },
      { names: ['statx'], action: 'SCMP_ACT_ALLOW' },
    ],
  };
  const { rules, defaultAction } = load({ ...good(), linux: { seccomp } }).config.linux!.seccomp!;
  expect(defaultAction).toBe(0x00050001);
  expect(rules.filter((r) => r.nr <= 332)).toEqual([
    { nr: 0, action: 0x7fff0000, args: [] },
    {
      nr: 56,
      action: 0x7fff0000,
      args: [{ index: 0, op: 'masked', value: [2114060288, 0], valueTwo: [0, 0] }],
    },
    { nr: 135, action: 0x7fff0000, args: [{ index: 0, op: 'eq', value: [0xffffffff, 0], valueTwo: [0, 0] }] },
    { nr: 135, action: 0x7fff0000, args: [{ index: 0, op: 'eq', value: [0, 0], valueTwo: [0, 0] }] },
    { nr: 332, action: 0x7fff0000, args: [] },
  ]);
  const newer = rules.filter((r) => r.nr > 332);
  expect(newer.length).toBeGreaterThan(30);
  expect(newer.every((r) => r.action === 0x00050026)).toBe(true);
});

test('the last setting of a variable counts', () => {
  const s = good();
  const process = { ...s.process, env: ['A=1', 'B=2', 'A=3'] };
  expect(load({ ...s, process }).config.process.env).toEqual(['A=3', 'B=2']);
});

test('seccomp: a listener that no rule asks is left alone', () => {
  const seccomp = { defaultAction: 'SCMP_ACT_ALLOW', listenerPath: '/run/agent' };
  const load1 = (more: object) => load({ ...good(), linux: { seccomp: { ...seccomp, ...more } } });
  expect(load1({}).config.linux!.seccomp!.rules).toEqual([]);
  expect(load({ ...good(), linux: { seccomp: {} } }).config.linux!.seccomp).toBeNull();
  expect(() => load1({ syscalls: [{ names: ['mkdir'], action: 'SCMP_ACT_NOTIFY' }] })).toThrow(
    /seccomp\.syscalls\[0\]\.action "SCMP_ACT_NOTIFY": an agent gets a descriptor of the host's kernel/,
  );
  expect(() => load1({ listenerPath: null, listenerMetadata: 'x' })).toThrow(/listenerMetadata "x": needs/);
});

test('tmpfs may be below /proc, as under runc', () => {
  const mounts = [{ destination: '/proc/acpi', type: 'tmpfs' }];
  expect(load({ ...good(), mounts }).config.mounts).toMatchObject([{ destination: '/proc/acpi' }]);
});

test('sysctl names may have slashes and dots', () => {
  const linux = {
    namespaces: [{ type: 'network' }],
    sysctl: { 'net/ipv4/conf/eth0.1/forwarding': '1', 'net.ipv4.ip_forward': '0' },
  };
  expect(load({ ...good(), linux }).config.sysctl).toEqual({
    'net.ipv4.conf.eth0/1.forwarding': '1',
    'net.ipv4.ip_forward': '0',
  });
});

test('malformed JSON names the file', () => {
  expect(() => load('{')).toThrow(/config\.json is not JSON/);
});
