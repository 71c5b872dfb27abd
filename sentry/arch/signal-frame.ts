/**
 * The x86-64 signal frame as user space sees it: struct rt_sigframe { pretcode; ucontext; siginfo } (asm/sigframe.h,
 * asm/ucontext.h, asm/sigcontext.h). Pure layout; who copies it where is kernel/signal-frame.ts.
 */
import {
  CS,
  EFLAGS,
  FIX_EFLAGS,
  ORIG_RAX,
  R10,
  R11,
  R12,
  R13,
  R14,
  R15,
  R8,
  R9,
  RAX,
  RBP,
  RBX,
  RCX,
  RDI,
  RDX,
  RIP,
  RSI,
  RSP,
  SS,
  type Regs,
} from './regs.ts';

/** Offsets in the frame. */
export const FRAME_UC = 8;
export const UC_FLAGS = 0;
export const UC_STACK = 16;
export const UC_MCONTEXT = 40;
export const UC_SIGMASK = 296;
export const UCONTEXT_SIZE = 304;
export const FRAME_INFO = FRAME_UC + UCONTEXT_SIZE;
export const FRAME_SIZE = FRAME_INFO + 128;

/** Offsets in struct sigcontext. */
export const SC_EFLAGS = 136;
export const SC_CS = 144;
const SC_SS = 150;
const SC_ERR = 152;
const SC_TRAPNO = 160;
const SC_OLDMASK = 168;
const SC_CR2 = 176;
export const SC_FPSTATE = 184;

const UC_FP_XSTATE = 1;
const UC_SIGCONTEXT_SS = 2;
const UC_STRICT_RESTORE_SS = 4;
export const UC_FLAGS_VALUE = UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;

/** sw_reserved of the FXSAVE image (struct _fpx_sw_bytes): magic and the size of the whole. */
export const FP_SW_RESERVED = 464;
export const FP_XSTATE_MAGIC1 = 0x46505853;
/** Behind the XSAVE area. */
export const FP_XSTATE_MAGIC2 = 0x46505845;
export const FXSAVE_SIZE = 512;

/** __USER_CS and __USER_DS. */
export const USER_CS = 0x33;
export const USER_DS = 0x2b;

const DF = 0x400;
const RF = 0x10000;
const TF = 0x100;

/** Registers in the order of struct sigcontext, from offset 0, 8 bytes each. */
export const SIGCONTEXT_REGS = [
  R8,
  R9,
  R10,
  R11,
  R12,
  R13,
  R14,
  R15,
  RDI,
  RSI,
  RBP,
  RBX,
  RDX,
  RAX,
  RCX,
  RSP,
  RIP,
];

export interface FaultState {
  trapNo: number;
  errorCode: number;
  cr2: number;
}

function copyWords(dst: DataView, at: number, regs: Regs, r: number): void {
  dst.setUint32(at, regs.words[2 * r]!, true);
  dst.setUint32(at + 4, regs.words[2 * r + 1]!, true);
}

export function setU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true);
  view.setUint32(at + 4, Math.floor(value / 0x100000000) >>> 0, true);
}

export function getU64(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * 0x100000000 + view.getUint32(at, true);
}

/** Fills struct sigcontext at `at`. The buffer is zero there. */
export function putSigcontext(
  view: DataView,
  at: number,
  regs: Regs,
  fault: FaultState,
  maskLo: number,
  maskHi: number,
  fpstate: number,
): void {
  for (let i = 0; i < SIGCONTEXT_REGS.length; i++) copyWords(view, at + 8 * i, regs, SIGCONTEXT_REGS[i]!);
  copyWords(view, at + SC_EFLAGS, regs, EFLAGS);
  view.setUint16(at + SC_CS, USER_CS, true);
  view.setUint16(at + SC_SS, USER_DS, true);
  setU64(view, at + SC_ERR, fault.errorCode);
  setU64(view, at + SC_TRAPNO, fault.trapNo);
  view.setUint32(at + SC_OLDMASK, maskLo, true);
  view.setUint32(at + SC_OLDMASK + 4, maskHi, true);
  setU64(view, at + SC_CR2, fault.cr2);
  setU64(view, at + SC_FPSTATE, fpstate);
}

/** Requested privilege level of user space: the kernel sets it in every selector. */
const RPL_USER = 3;

/**
 * Loads registers from the struct ucontext at `uc`. Segments stay user space's, flags are masked (FIX_EFLAGS). What the CPU would
 * say of the frame's segments: −1, or the error code of its general protection fault. 32-bit code is not offered.
 */
export function getSigcontext(view: DataView, uc: number, regs: Regs): number {
  const at = uc + UC_MCONTEXT;
  for (let i = 0; i < SIGCONTEXT_REGS.length; i++) {
    const r = SIGCONTEXT_REGS[i]!;
    regs.words[2 * r] = view.getUint32(at + 8 * i, true);
    regs.words[2 * r + 1] = view.getUint32(at + 8 * i + 4, true);
  }
  const flags = view.getUint32(at + SC_EFLAGS, true);
  regs.words[2 * EFLAGS] = ((regs.words[2 * EFLAGS]! & ~FIX_EFLAGS) | (flags & FIX_EFLAGS)) >>> 0;
  regs.words[2 * CS] = USER_CS;
  regs.words[2 * CS + 1] = 0;
  regs.words[2 * SS] = USER_DS;
  regs.words[2 * SS + 1] = 0;
  regs.set(ORIG_RAX, -1);
  const cs = view.getUint16(at + SC_CS, true) | RPL_USER;
  const ss = view.getUint16(at + SC_SS, true) | RPL_USER;
  if (cs !== USER_CS) return cs & ~RPL_USER;
  const strict = (view.getUint32(uc + UC_FLAGS, true) & UC_STRICT_RESTORE_SS) !== 0;
  return strict && ss !== USER_DS ? ss & ~RPL_USER : -1;
}

/** Points the registers at a handler (setup_rt_frame). */
export function enterHandler(regs: Regs, handler: number, sig: number, frame: number): void {
  regs.set(RDI, sig);
  regs.set(RAX, 0);
  regs.set(RSI, frame + FRAME_INFO);
  regs.set(RDX, frame + FRAME_UC);
  regs.set(RIP, handler);
  regs.set(RSP, frame);
  regs.words[2 * EFLAGS] = (regs.words[2 * EFLAGS]! & ~(DF | RF | TF)) >>> 0;
  // A syscall that has been answered is not restarted when the handler is interrupted in turn.
  regs.set(ORIG_RAX, -1);
}
