/**
 * A vDSO whose clock_gettime() makes the system call (vdso(7)), for processes whose clocks are not the host's. It is a copy of
 * the host's, so that it can take its place while a program knows the addresses of its functions.
 */
import { HostBuffer, viewHostMemory } from '../host/memory.ffi.ts';
import { auxVector } from '../host/sys.ffi.ts';
import { textMemfd } from './text/text-image.ts';

const AT_SYSINFO_EHDR = 33;
const PHDR_SIZE = 56;
const SYM_SIZE = 24;
const PT_DYNAMIC = 2;
const DT_STRTAB = 5;
const DT_SYMTAB = 6;
/** mov $228, %eax; syscall; ret */
const CALL = [0xb8, 0xe4, 0, 0, 0, 0x0f, 0x05, 0xc3];

let made = -1;
let tried = false;

/** Its memfd, −1 if the host's vDSO is not of a known shape. The same one for all, open as long as the sandbox lives. */
export function callingVdso(size: number): number {
  const own = auxVector(AT_SYSINFO_EHDR);
  if (tried || own === 0) return made;
  tried = true;
  const image = new HostBuffer(size);
  // The host has one image for all processes: this is the sentry's own mapping of it.
  image.bytes.set(Buffer.from(viewHostMemory(own, size)));
  const at = functionAt(image.bytes, '__vdso_clock_gettime');
  if (at < 0) return made;
  image.bytes.set(CALL, at);
  made = Math.max(-1, textMemfd(image));
  return made;
}

/** Offset of a function in the image, −1: it is not there. Addresses in it are offsets, low ones. */
export function functionAt(elf: Buffer, name: string): number {
  const low = (at: number): number => (at + 8 <= elf.length ? elf.readUInt32LE(at) : elf.length);
  let dynamic = -1;
  for (
    let i = 0, at = low(32);
    i < elf.readUInt16LE(56) && at + PHDR_SIZE <= elf.length;
    i++, at += PHDR_SIZE
  )
    if (elf.readUInt32LE(at) === PT_DYNAMIC) dynamic = low(at + 16);
  if (dynamic < 0) return -1;
  let symbols = -1;
  let strings = -1;
  for (let at = dynamic; low(at) !== 0 && at + 16 <= elf.length; at += 16) {
    if (low(at) === DT_SYMTAB) symbols = low(at + 8);
    if (low(at) === DT_STRTAB) strings = low(at + 8);
  }
  if (symbols < 0) return -1;
  // The names lie behind the symbols (vdso-layout.lds.S).
  for (let at = symbols; at + SYM_SIZE <= strings && strings <= elf.length; at += SYM_SIZE) {
    const s = strings + elf.readUInt32LE(at);
    if (elf.toString('latin1', s, s + name.length + 1) === `${name}\0`) return low(at + 8);
  }
  return -1;
}
