/** Global options of gVisor's `runsc` that scripts pass (docs/from-runsc.md): those with a meaning here are taken, others are told apart. */
import { FALSE, TRUE } from './go-flags.ts';
import { UserError } from './user-error.ts';

/** Flags without a meaning here: it is so in any case. `=true` may follow. */
const ALWAYS: readonly string[] = ['--oci-seccomp', '--alsologtostderr', '--vfs2', '--lisafs'];

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

/** Options whose value may be a word of its own. */
const WITH_WORD: readonly string[] = [
  '--root', '--log', '--log-format', '--platform', '--debug-log', '--syscall-report', '--host-uds', '--systrap-patching',
  '--rootless', '--criu',
]; // prettier-ignore

/**
 * Translates the options before the command. `--strace` says whether system calls are logged, `--strace-syscalls` which of
 * them: without the former it has no effect, as in runsc.
 */
export function fromRunsc(argv: readonly string[]): string[] {
  const options: string[] = [];
  let traced: string | null = null;
  let calls = '';
  let at = 0;
  for (; argv[at]?.startsWith('-') && argv[at] !== '--'; at++) {
    const arg = argv[at]!;
    const name = nameOf(arg);
    const value = valueOf(arg);
    /** Of an option that always has a value. */
    const text = (): string => {
      if (arg.includes('=')) return value;
      const next = argv[++at];
      if (next === undefined) throw new UserError(`${name}: a value is missing`);
      return next;
    };
    if (name === '--strace') traced = FALSE.includes(value) ? null : TRUE.includes(value) ? 'all' : value;
    else if (name === '--strace-syscalls') calls = text();
    else if (name === '--overlay2') options.push(...(['none', ''].includes(text()) ? [] : ['--overlay']));
    else if (ALWAYS.includes(name) && !FALSE.includes(value)) continue;
    else if (WITH_WORD.includes(arg)) options.push(arg, ...argv.slice(++at, at + 1));
    else options.push(arg);
  }
  if (traced === 'all' && calls !== '') traced = calls;
  return [...options, ...(traced === null ? [] : [`--strace=${traced}`]), ...argv.slice(at)];
}

/** What to do instead of an option that is not known. */
export function hintFor(argv: readonly string[]): string | null {
  const arg = argv.find((a) => Object.hasOwn(HINTS, nameOf(a)));
  return arg === undefined ? null : `${nameOf(arg)}: ${HINTS[nameOf(arg)]!}`;
}
