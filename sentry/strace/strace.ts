/**
 * strace of guest syscalls (`--strace`): one line per call, formatted from the table's argument kinds.
 * `[   7] openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC, 0) = 3`
 */
import { errnoName } from '../abi/errno.ts';
import { signalName } from '../abi/signal-names.ts';
import { SYSCALL_NAMES } from '../abi/syscall-names.ts';
import type { ArgKind } from '../kernel/syscall-table.ts';
import type { Task } from '../kernel/task.ts';

const MAX_STRING = 64;
const bytes = Buffer.alloc(MAX_STRING + 1);

export class Strace {
  /** Restricts output to some syscalls; null prints all. */
  private readonly only: ReadonlySet<string> | null;
  private readonly write: (line: string) => void;

  constructor(only: readonly string[] | null, write: (line: string) => void) {
    this.only = only === null ? null : new Set(only);
    this.write = write;
  }

  /**
   * The call as text, made when it enters: its arguments may be gone afterwards (execve, exit). Null if it is not wanted.
   */
  enter(t: Task): string | null {
    const name = syscallName(t.sysno);
    if (this.only !== null && !this.only.has(name)) return null;
    const args = t.row === null ? [] : t.row.args.map((kind, i) => formatArg(t, kind, i));
    return `[${String(t.tid).padStart(4)}] ${name}(${args.join(', ')})`;
  }

  /** `result` as the guest sees it, or null if the call does not return. */
  exit(call: string, result: number | null): void {
    this.write(`${call} = ${result === null ? '?' : formatResult(result)}`);
  }

  /** A signal is delivered. */
  signal(t: Task, signo: number): void {
    this.write(`[${String(t.tid).padStart(4)}] --- ${signalName(signo)} ---`);
  }
}

export function syscallName(nr: number): string {
  return SYSCALL_NAMES.get(nr) ?? `syscall_${nr}`;
}

function formatResult(r: number): string {
  if (r < 0 && r >= -4095) return `-1 ${errnoName(-r)}`;
  return r > 0xffffffff ? `0x${r.toString(16)}` : String(r);
}

export function formatArg(t: Task, kind: ArgKind, i: number): string {
  const a = t.args;
  switch (kind.kind) {
    case 'fd':
      return a.int(i) === -100 ? 'AT_FDCWD' : String(a.int(i));
    case 'int':
    case 'pid':
      return String(a.int(i));
    case 'uint':
      return String(a.uint(i));
    case 'long':
    case 'off':
      return String(a.long(i));
    case 'size':
    case 'ulong':
      return String(a.size(i));
    case 'hex':
      return `0x${a.addr(i).toString(16)}`;
    case 'octal':
      return `0${a.uint(i).toString(8)}`;
    case 'signal':
      return signalName(a.int(i));
    case 'path':
    case 'string':
      return formatString(t, a.addr(i));
    case 'flags':
      return formatFlags(a.uint(i), kind.names);
    case 'enum':
      return Object.entries(kind.names).find(([, v]) => v === a.int(i))?.[0] ?? String(a.int(i));
    case 'inBuf':
      return formatBytes(t, a.addr(i), a.size(kind.lenArg) * kind.unit);
    case 'ptr':
    case 'in':
    case 'out':
    case 'inout':
    case 'outBuf':
      return a.addr(i) === 0 ? 'NULL' : `0x${a.addr(i).toString(16)}`;
  }
}

function formatString(t: Task, addr: number): string {
  if (addr === 0) return 'NULL';
  const s = t.mem.copyInString(addr, 4096);
  return typeof s === 'number' ? `0x${addr.toString(16)}` : quote(s);
}

function formatBytes(t: Task, addr: number, len: number): string {
  if (addr === 0) return 'NULL';
  const n = t.mem.copyInPartial(addr, bytes, 0, Math.min(len, MAX_STRING + 1));
  return n < 0 ? `0x${addr.toString(16)}` : quote(bytes.toString('latin1', 0, n));
}

/** C-quoted, cut at MAX_STRING bytes. */
function quote(s: string): string {
  let out = '"';
  for (let i = 0; i < Math.min(s.length, MAX_STRING); i++) {
    const c = s.charCodeAt(i);
    if (c === 10) out += '\\n';
    else if (c === 9) out += '\\t';
    else if (c === 34 || c === 92) out += `\\${s[i]}`;
    else out += c >= 32 && c < 127 ? s[i] : `\\x${c.toString(16).padStart(2, '0')}`;
  }
  return s.length > MAX_STRING ? `${out}"...` : `${out}"`;
}

function formatFlags(value: number, names: Readonly<Record<string, number>>): string {
  const parts: string[] = [];
  let rest = value;
  for (const [name, bits] of Object.entries(names)) {
    if (bits !== 0 && (rest & bits) >>> 0 === bits >>> 0) {
      parts.push(name);
      rest = (rest & ~bits) >>> 0;
    }
  }
  if (rest !== 0 || parts.length === 0) {
    const zero = Object.entries(names).find(([, v]) => v === 0)?.[0];
    parts.push(rest === 0 && zero !== undefined ? zero : `0x${rest.toString(16)}`);
  }
  return parts.join('|');
}
