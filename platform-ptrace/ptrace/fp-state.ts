/**
 * Extended state between ptrace's form (NT_X86_XSTATE: the XSAVE area, feature mask at 464) and that of a signal
 * frame (struct _xstate: the same area with struct _fpx_sw_bytes at 464 and a second magic number behind it).
 * ptrace's has room for features that threads must ask for (AMX), which guests cannot: a frame is without it.
 * Linux: arch/x86/kernel/fpu/signal.c save_xstate_epilog(), check_xstate_in_sigframe().
 */
import {
  FP_SW_RESERVED,
  FP_XSTATE_MAGIC1,
  FP_XSTATE_MAGIC2,
  FXSAVE_SIZE,
} from '../../sentry/arch/signal-frame.ts';
import { INIT_PKRU, XFEATURE_PKRU } from '../stub-layout.ts';
import { HostBuffer } from '../../sentry/host/memory.ffi.ts';
import { PTRACE_GETREGSET, PTRACE_SETREGSET, ptrace, xstateSizes } from './ptrace.ffi.ts';

const NT_X86_XSTATE = 0x202;
const SW_BYTES = FP_SW_RESERVED;
const XSTATE_BV = FXSAVE_SIZE;
/** x87 and SSE: what FXSAVE holds. */
const XFEATURE_MASK_FPSSE = 3;
const MAX_SIZE = 16384;

const area = new HostBuffer(MAX_SIZE);
const iovec = new HostBuffer(16);

/** Size of ptrace's area on this machine, and of a frame's; known after the first `read`. */
let regsetSize = 0;
let xsaveSize = 0;
/** Features beyond `xsaveSize`. */
let dynamicLow = 0;
let dynamicHigh = 0;
/** Where PKRU is; 0: there is none. */
let pkruOffset = 0;

/** Host addresses are not known before the process runs: this module may come from a snapshot. */
function describe(size: number): void {
  iovec.u32[0] = area.addr >>> 0;
  iovec.u32[1] = Math.floor(area.addr / 0x100000000);
  iovec.u32[2] = size;
  iovec.u32[3] = 0;
}

function read(tid: number): number {
  describe(MAX_SIZE);
  const r = ptrace(PTRACE_GETREGSET, tid, NT_X86_XSTATE, iovec.addr);
  if (r < 0) return r;
  if (regsetSize === 0) {
    regsetSize = iovec.u32[2]!;
    xstateSizes(iovec);
    xsaveSize = Math.min(regsetSize, iovec.u32[0]!);
    dynamicLow = iovec.u32[1]!;
    dynamicHigh = iovec.u32[2]!;
    pkruOffset = iovec.u32[3]!;
  }
  // The host's kernel keeps PKRU elsewhere: the value is right, the mark that it is in use is missing.
  if (pkruOffset !== 0) area.u32[XSTATE_BV / 4]! |= 1 << XFEATURE_PKRU;
  return xsaveSize;
}

function write(tid: number): boolean {
  area.bytes.fill(0, xsaveSize, regsetSize);
  describe(regsetSize);
  return ptrace(PTRACE_SETREGSET, tid, NT_X86_XSTATE, iovec.addr) >= 0;
}

/** Copies the state of a stopped thread into `dst` in a frame's form. Its size, or −errno. */
export function getFpState(tid: number, dst: Uint8Array): number {
  const size = read(tid);
  if (size < 0) return size;
  const words = area.u32;
  const features = words[SW_BYTES / 4]! & ~dynamicLow;
  const featuresHigh = words[SW_BYTES / 4 + 1]! & ~dynamicHigh;
  area.bytes.fill(0, SW_BYTES, FXSAVE_SIZE);
  words[SW_BYTES / 4] = FP_XSTATE_MAGIC1;
  words[SW_BYTES / 4 + 1] = size + 4;
  words[SW_BYTES / 4 + 2] = features;
  words[SW_BYTES / 4 + 3] = featuresHigh;
  words[SW_BYTES / 4 + 4] = size;
  words[size / 4] = FP_XSTATE_MAGIC2;
  dst.set(area.bytes.subarray(0, size + 4));
  return size + 4;
}

/** Loads a frame's image into a stopped thread. False, and nothing changed, if it is not one of this machine's form. */
export function setFpState(tid: number, src: Uint8Array, size: number): boolean {
  if (xsaveSize === 0 && read(tid) < 0) return false;
  if (size < xsaveSize + 4) return false;
  area.bytes.set(src.subarray(0, xsaveSize + 4));
  const words = area.u32;
  if (
    words[SW_BYTES / 4] !== FP_XSTATE_MAGIC1 ||
    words[SW_BYTES / 4 + 4] !== xsaveSize ||
    words[xsaveSize / 4] !== FP_XSTATE_MAGIC2
  )
    return false;
  area.bytes.fill(0, SW_BYTES, FXSAVE_SIZE);
  return write(tid); // the kernel checks MXCSR and the XSAVE header
}

/** The state after execve: arch/x86/kernel/fpu/core.c fpstate_init_user(). */
export function resetFpState(tid: number): boolean {
  if (xsaveSize === 0 && read(tid) < 0) return false;
  area.bytes.fill(0);
  area.view.setUint16(0, 0x37f, true); // FCW
  area.u32[24 / 4] = 0x1f80; // MXCSR
  area.u32[XSTATE_BV / 4] = XFEATURE_MASK_FPSSE;
  putPkru(INIT_PKRU);
  return write(tid);
}

function putPkru(value: number): void {
  if (pkruOffset === 0) return;
  area.u32[XSTATE_BV / 4]! |= 1 << XFEATURE_PKRU;
  area.u32[pkruOffset / 4] = value;
}

/** PKRU of a stopped thread; 0 where there is none. */
export function getPkru(tid: number): number {
  return read(tid) < 0 || pkruOffset === 0 ? 0 : area.u32[pkruOffset / 4]!;
}

export function setPkru(tid: number, value: number): void {
  if (read(tid) < 0) return;
  putPkru(value);
  write(tid);
}
