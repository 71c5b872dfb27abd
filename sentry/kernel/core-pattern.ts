/** Names of core files: /proc/sys/kernel/core_pattern (core(5), fs/coredump.c format_corename). */
import { EINVAL } from '../abi/errno.ts';

/** CORENAME_MAX_SIZE, the final NUL included. */
const CORENAME_MAX = 128;

/** What the sandbox does about core files, set by /proc/sys. */
export class CoreSettings {
  /** kernel.core_pattern */
  pattern = 'core';
  /** kernel.core_uses_pid */
  usesPid = 0;
  /** fs.suid_dumpable: what PR_GET_DUMPABLE says of a program that changes identity. */
  suidDumpable = 0;

  /**
   * Takes a pattern over: 0, or −EINVAL. Programs and sockets that would receive cores ("|program", "@socket") would run outside of
   * every container: there are none.
   */
  setPattern(text: string): number {
    const pattern = text
      .split('\n', 1)[0]!
      .split('\0', 1)[0]!
      .slice(0, CORENAME_MAX - 1);
    if (pattern.startsWith('|') || pattern.startsWith('@')) return -EINVAL;
    this.pattern = pattern;
    return 0;
  }
}

/** Values of the specifiers. */
export interface CoreSubject {
  /** The process's number in its own PID namespace, and in the outermost one. */
  readonly tgid: number;
  readonly globalTgid: number;
  readonly tid: number;
  readonly globalTid: number;
  readonly uid: number;
  readonly gid: number;
  readonly dumpable: number;
  readonly signal: number;
  readonly seconds: number;
  readonly hostname: string;
  readonly comm: string;
  /** The executable's path, '' without one. */
  readonly exe: string;
  readonly coreLimit: number;
}

/** cn_vprintf(): slashes would lead elsewhere, and so would a component that is "." or ".." alone. */
function escaped(text: string): string {
  const flat = text.replaceAll('/', '!');
  return flat === '' ? '!' : flat === '.' || flat === '..' ? `!${flat.slice(1)}` : flat;
}

function value(c: string, s: CoreSubject): string {
  switch (c) {
    case '%':
      return '%';
    case 'p':
      return String(s.tgid);
    case 'P':
      return String(s.globalTgid);
    case 'i':
      return String(s.tid);
    case 'I':
      return String(s.globalTid);
    case 'u':
      return String(s.uid);
    case 'g':
      return String(s.gid);
    case 'd':
      return String(s.dumpable);
    case 's':
      return String(s.signal);
    case 't':
      return String(s.seconds);
    case 'h':
      return escaped(s.hostname);
    case 'e':
      return escaped(s.comm);
    case 'f':
      return escaped(s.exe === '' ? s.comm : s.exe.slice(s.exe.lastIndexOf('/') + 1));
    case 'E':
      return escaped(s.exe === '' ? `${s.comm} (path unknown)` : s.exe);
    case 'c':
      return s.coreLimit === Infinity ? '18446744073709551615' : String(s.coreLimit);
    default:
      // "Other characters … are dropped" - core(5); %C, the CPU, is the host's affair.
      return c === 'C' ? '0' : '';
  }
}

/** The file's name; a relative one starts at the process's working directory. */
export function coreName({ pattern, usesPid }: CoreSettings, s: CoreSubject): string {
  let name = '';
  let hasPid = false;
  for (let i = 0; i < pattern.length; i++) {
    const c = pattern[i]!;
    if (c !== '%') {
      name += c;
      continue;
    }
    if (++i === pattern.length) break;
    if (pattern[i] === 'p') hasPid = true;
    name += value(pattern[i]!, s);
  }
  // "Backward compatibility with core_uses_pid"
  return !hasPid && usesPid !== 0 ? `${name}.${s.tgid}` : name;
}
