/** The initial stack of a program: strings, auxiliary vector, pointers (fs/exec.c, binfmt_elf.c create_elf_tables()). */
import { E2BIG } from '../abi/errno.ts';
import { fillRandom } from '../lib/random.ts';

/** MAX_ARG_STRLEN: 32 pages, the NUL included. */
export const MAX_ARG_STRLEN = 131072;
const ARG_MAX = 131072;
const STK_LIM = 8 * 1024 * 1024;

export const AT_PHDR = 3;
export const AT_PHENT = 4;
export const AT_PHNUM = 5;
export const AT_PAGESZ = 6;
export const AT_BASE = 7;
export const AT_FLAGS = 8;
export const AT_ENTRY = 9;
export const AT_UID = 11;
export const AT_EUID = 12;
export const AT_GID = 13;
export const AT_EGID = 14;
export const AT_PLATFORM = 15;
export const AT_HWCAP = 16;
export const AT_CLKTCK = 17;
export const AT_SECURE = 23;
export const AT_RANDOM = 25;
export const AT_HWCAP2 = 26;
export const AT_EXECFN = 31;
export const AT_SYSINFO_EHDR = 33;
export const AT_RSEQ_FEATURE_SIZE = 27;
export const AT_RSEQ_ALIGN = 28;
export const AT_MINSIGSTKSZ = 51;

/**
 * bprm_stack_limits(): "the limit … is one quarter of the stack limit", at most 6 MiB, at least ARG_MAX. Bytes of strings
 * (each with its NUL) that fit beside the pointers, or −E2BIG.
 */
export function stringsLimit(argc: number, envc: number, stackLimit: number): number {
  const limit = Math.max(Math.min((STK_LIM / 4) * 3, Math.floor(stackLimit / 4)), ARG_MAX);
  const pointers = (Math.max(argc, 1) + envc) * 8;
  return limit <= pointers ? -E2BIG : limit - pointers;
}

export interface StackImage {
  /** From `sp` on; and from `argStart` to the top. Zeros lie between, as in any fresh memory: 8 KiB often. */
  low: Buffer;
  high: Buffer;
  sp: number;
  argStart: number;
  argEnd: number;
  envStart: number;
  envEnd: number;
  auxv: Uint8Array;
}

export interface StackRequest {
  /** End of the stack VMA, page-aligned. */
  top: number;
  argv: readonly string[];
  envp: readonly string[];
  /** AT_EXECFN: the name that execve was given, for scripts too. */
  execfn: string;
  /** Type, value; AT_RANDOM, AT_EXECFN and AT_PLATFORM are added here. */
  auxv: readonly (readonly [number, number])[];
}

const PLATFORM = 'x86_64\0';

export function buildStack(r: StackRequest): StackImage {
  const { argv, envp } = r;
  const bytesOf = (list: readonly string[]): number => list.reduce((n, s) => n + s.length + 1, 0);
  const argBytes = bytesOf(argv);
  const envBytes = bytesOf(envp);
  // From the top: 8 zero bytes, the file name, the environment, the arguments.
  const execfn = r.top - 8 - (r.execfn.length + 1);
  const envStart = execfn - envBytes;
  const argStart = envStart - argBytes;
  const random = Buffer.alloc(18);
  fillRandom(random, 0, random.length);
  // arch_align_stack(): up to 8 KiB of random displacement.
  const displaced = argStart - (random.readUInt16LE(16) % 8192);
  const platform = displaced - (displaced % 16) - 16;
  const randomAt = platform - 16;
  const auxv = [
    ...r.auxv,
    [AT_RANDOM, randomAt],
    [AT_EXECFN, execfn],
    [AT_PLATFORM, platform],
    [0, 0],
  ] as const;
  const words = 1 + argv.length + 1 + envp.length + 1 + auxv.length * 2;
  const unaligned = randomAt - words * 8;
  const sp = unaligned - (unaligned % 16);

  const low = Buffer.alloc(platform + 16 - sp);
  const high = Buffer.alloc(r.top - argStart);
  low.write(PLATFORM, platform - sp, 'latin1');
  random.copy(low, randomAt - sp, 0, 16);
  high.write(r.execfn, execfn - argStart, 'latin1');
  let at = 0;
  const word = (v: number): void => {
    low.writeUInt32LE(v % 0x100000000, at);
    low.writeUInt32LE(Math.floor(v / 0x100000000), at + 4);
    at += 8;
  };
  const strings = (list: readonly string[], start: number): void => {
    let where = start;
    for (const s of list) {
      high.write(s, where - argStart, 'latin1');
      word(where);
      where += s.length + 1;
    }
    word(0);
  };
  word(argv.length);
  strings(argv, argStart);
  strings(envp, envStart);
  const auxvAt = at;
  for (const [type, value] of auxv) {
    word(type);
    word(value);
  }
  const image = Uint8Array.prototype.slice.call(low, auxvAt, at);
  return { low, high, sp, argStart, argEnd: envStart, envStart, envEnd: execfn, auxv: image };
}
