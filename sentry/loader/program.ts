/**
 * From a file to something that can be mapped: follows `#!` lines, checks ELF headers and opens the interpreter, all
 * before the old program is given up, so that execve can still fail (fs/exec.c search_binary_handler, binfmt_elf.c).
 */
import { E2BIG, EACCES, EIO, ELIBBAD, ELOOP, ENOENT, ENOEXEC } from '../abi/errno.ts';
import type { CallContext } from '../vfs/call-context.ts';
import type { FileDescription } from '../vfs/file-description.ts';
import { IN_ACCESS, notifyData } from '../vfs/fsnotify.ts';
import { PHDR_SIZE, parseHeader, parseProgramHeaders, type ElfImage } from './elf.ts';
import { BINPRM_BUF_SIZE, parseScript } from './script.ts';
import { MAX_ARG_STRLEN, stringsLimit } from './stack.ts';

/** Interpreters of interpreters: the fifth is one too many (exec_binprm). */
const MAX_SCRIPT_DEPTH = 5;

/** Opens a file for execution: a reference to an open regular file with execute permission, or −errno. */
export type OpenExec = (path: string) => FileDescription | number;

export type CloseExec = (file: FileDescription) => void;

export interface ProgramRequest {
  /** The file to execute; the program takes over the reference, also on failure. */
  file: FileDescription;
  /** AT_EXECFN, and what a script's interpreter is given to open. */
  filename: string;
  /** Scripts cannot be run: the name would lead to a close-on-exec descriptor (execveat(2) BUGS). */
  nameInaccessible: boolean;
  argv: readonly string[];
  envp: readonly string[];
  stackLimit: number;
  open: OpenExec;
  /** Gives back a file of `open`. */
  close: CloseExec;
}

export interface Program {
  file: FileDescription;
  image: ElfImage;
  interp: { file: FileDescription; image: ElfImage } | null;
  argv: readonly string[];
  envp: readonly string[];
  execfn: string;
}

export function releaseProgram(p: Program, close: CloseExec): void {
  close(p.file);
  if (p.interp !== null) close(p.interp.file);
}

/** Resolves the request to an ELF program, or −errno with nothing held. */
export function openProgram(t: CallContext, r: ProgramRequest): Program | number {
  let { file, argv } = r;
  // "If argv is empty, … the kernel adds an empty string" (since Linux 5.18).
  if (argv.length === 0) argv = [''];
  let name = r.filename;
  const head = Buffer.alloc(BINPRM_BUF_SIZE);
  for (let depth = 0; ; depth++) {
    const tooBig = checkStrings(argv, r);
    if (tooBig !== 0) return drop(r, file, tooBig);
    head.fill(0);
    const n = readAt(t, file, head, 0);
    if (n < 0) return drop(r, file, n);
    if (head[0] !== 0x23 || head[1] !== 0x21) break;
    const line = parseScript(head.toString('latin1'));
    if (line === null) return drop(r, file, -ENOEXEC);
    if (r.nameInaccessible && depth === 0) return drop(r, file, -ENOENT);
    // The empty path is the working directory here.
    if (line.interpreter === '') return drop(r, file, -EACCES);
    if (depth >= MAX_SCRIPT_DEPTH) return drop(r, file, -ELOOP);
    const extra = line.argument === null ? [] : [line.argument];
    argv = [line.interpreter, ...extra, name, ...argv.slice(1)];
    name = line.interpreter;
    r.close(file);
    const next = r.open(line.interpreter);
    if (typeof next === 'number') return next;
    file = next;
  }
  const image = readImage(t, file, -ENOEXEC);
  if (typeof image === 'number') return drop(r, file, image);
  const program: Program = { file, image, interp: null, argv, envp: r.envp, execfn: r.filename };
  const failed = image.interp === null ? 0 : openInterpreter(t, r, program);
  return failed === 0 ? program : drop(r, file, failed);
}

function drop(r: ProgramRequest, file: FileDescription, errno: number): number {
  r.close(file);
  return errno;
}

function checkStrings(argv: readonly string[], r: ProgramRequest): number {
  let left = stringsLimit(argv.length, r.envp.length, r.stackLimit);
  if (left < 0) return left;
  left -= r.filename.length + 1;
  for (const list of [argv, r.envp]) {
    for (const s of list) {
      if (s.length >= MAX_ARG_STRLEN) return -E2BIG;
      left -= s.length + 1;
    }
  }
  return left < 0 ? -E2BIG : 0;
}

/** Bytes read of what fits into `b`, short only at the end of the file, or −errno. */
function readAt(t: CallContext, file: FileDescription, b: Buffer, pos: number): number {
  let got = 0;
  while (got < b.length) {
    const n = file.read(t, b, got, b.length - got, pos + got);
    if (n < 0) return n;
    if (n === 0) break;
    got += n;
  }
  if (got > 0) notifyData(IN_ACCESS, file);
  return got;
}

function readImage(t: CallContext, file: FileDescription, bad: number): ElfImage | number {
  const head = Buffer.alloc(64);
  const n = readAt(t, file, head, 0);
  if (n < 0) return n;
  if (n < head.length && bad === -ELIBBAD) return -EIO;
  const header = parseHeader(head, n);
  if (typeof header === 'number') return bad;
  if (header.phoff > Number.MAX_SAFE_INTEGER - 65536) return bad;
  const table = Buffer.alloc(header.phnum * PHDR_SIZE);
  const got = readAt(t, file, table, header.phoff);
  if (got !== table.length) return bad;
  const image = parseProgramHeaders(table, header);
  return image === -ENOEXEC ? bad : image;
}

function openInterpreter(t: CallContext, r: ProgramRequest, program: Program): number {
  const { offset, size } = program.image.interp!;
  if (offset > Number.MAX_SAFE_INTEGER - size) return -EIO;
  const b = Buffer.alloc(size);
  const got = readAt(t, program.file, b, offset);
  if (got < 0) return got;
  if (got < size) return -EIO;
  if (b[size - 1] !== 0) return -ENOEXEC;
  const file = r.open(b.toString('latin1', 0, b.indexOf(0)));
  if (typeof file === 'number') return file;
  const image = readImage(t, file, -ELIBBAD);
  if (typeof image === 'number') return drop(r, file, image);
  program.interp = { file, image };
  return 0;
}
