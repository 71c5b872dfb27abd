/** Global options of gVisor's `runsc` that scripts pass (docs/from-runsc.md): those with a meaning here are taken, others are told apart. */

/** What an option of runsc's is here, its value included; null: nothing is to be said. */
const SAME: Readonly<Record<string, (value: string) => string | null>> = {
  '--strace-syscalls': (v) => `--strace=${v}`,
  '--overlay2': (v) => (v === 'none' || v === '' ? null : '--overlay'),
};
/** So it is here in any case; `=true` may follow. */
const ALWAYS: readonly string[] = [
  '--oci-seccomp',
  '--ignore-cgroups',
  '--alsologtostderr',
  '--vfs2',
  '--lisafs',
];

const HINTS: Readonly<Record<string, string>> = {
  '--network': 'the network of a container is that of config.json; `do` has --network none|host',
  '--net-raw': 'raw sockets need CAP_NET_RAW in config.json, nothing else',
  '--directfs': 'the gofer hands over descriptors of regular files, there is nothing to choose',
  '--file-access': 'roots are cached, volumes are watched: there is nothing to choose',
  '--file-access-mounts': 'volumes are watched: there is nothing to choose',
  '--dcache': 'there is nothing to choose',
  '--nvproxy': 'no device of the host is ever opened',
  '--tpuproxy': 'no device of the host is ever opened',
  '--fsgofer-host-uds': 'use --host-uds=open',
  '--debug-log-format': 'the debug log has one format',
  '--pcap-log': 'run tcpdump in the container, or in its network namespace',
  '--trace': 'use --strace or --syscall-report FILE',
  '--watchdog-action': 'a sandbox whose kernel does not answer is ended',
  '--cgroupfs': 'version 2 of control groups is there in every container',
};

const nameOf = (arg: string): string => `--${/^--?([^=]*)/.exec(arg)?.[1] ?? ''}`;
const valueOf = (arg: string): string => (arg.includes('=') ? arg.slice(arg.indexOf('=') + 1) : 'true');

/** Our own options whose value may be a word of its own. */
const WITH_WORD: readonly string[] = [
  '--root', '--log', '--log-format', '--platform', '--debug-log', '--syscall-report', '--host-uds', '--systrap-patching',
  '--rootless', '--criu',
]; // prettier-ignore

/** Translates the options before the command. Those of runsc take their values behind "=". */
export function fromRunsc(argv: readonly string[]): string[] {
  const command = argv.findIndex((a, i) => !a.startsWith('-') && !WITH_WORD.includes(argv[i - 1] ?? ''));
  return argv.flatMap((arg, i) => {
    if (command >= 0 && i > command) return [arg];
    const name = nameOf(arg);
    if (ALWAYS.includes(name) && valueOf(arg) !== 'false') return [];
    const same = Object.hasOwn(SAME, name) ? SAME[name]!(valueOf(arg)) : arg;
    return same === null ? [] : [same];
  });
}

/** What to do instead of an option that is not known. */
export function hintFor(argv: readonly string[]): string | null {
  const arg = argv.find((a) => Object.hasOwn(HINTS, nameOf(a)));
  return arg === undefined ? null : `${nameOf(arg)}: ${HINTS[nameOf(arg)]!}`;
}
