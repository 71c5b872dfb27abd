/** Putting a signal frame on the guest's stack and taking it back (arch/x86/kernel/signal_64.c). */
import { EFAULT, EINVAL, ENOMEM, EPERM } from '../abi/errno.ts';
import {
  MINSIGSTKSZ,
  SA_NODEFER,
  SA_RESTORER,
  SIGINFO_SIZE,
  SS_AUTODISARM,
  SS_DISABLE,
  SS_ONSTACK,
} from '../abi/signal.ts';
import { RSP } from '../arch/regs.ts';
import {
  enterHandler,
  FP_SW_RESERVED,
  FP_XSTATE_MAGIC1,
  FP_XSTATE_MAGIC2,
  FRAME_INFO,
  FRAME_SIZE,
  FRAME_UC,
  FXSAVE_SIZE,
  getSigcontext,
  getU64,
  putSigcontext,
  SC_FPSTATE,
  setU64,
  UC_FLAGS,
  UC_FLAGS_VALUE,
  UC_MCONTEXT,
  UC_SIGMASK,
  UC_STACK,
  UCONTEXT_SIZE,
} from '../arch/signal-frame.ts';
import { TASK_SIZE } from '../lib/addr.ts';
import { abortRseq } from './rseq.ts';
import type { SigInfo } from './sig-info.ts';
import type { Task } from './task.ts';

/** Largest fpstate image taken: XSAVE with AVX-512 is below 3 KiB, AMX is never given out. */
const FPSTATE_MAX = 16 * 1024;
const RED_ZONE = 128;
const XSAVE_HEADER_SIZE = 64;
/** xfeatures of struct _fpx_sw_bytes */
const FP_SW_XFEATURES = FP_SW_RESERVED + 8;
/** What FXRSTOR and XRSTOR ask of an image's address. */
const FXSAVE_ALIGN = 16;
const XSAVE_ALIGN = 64;
const X86_TRAP_GP = 13;

const buffer = Buffer.alloc(FRAME_SIZE);
const view = new DataView(buffer.buffer, buffer.byteOffset, FRAME_SIZE);
const fpBuffer = Buffer.alloc(FPSTATE_MAX);
const fpView = new DataView(fpBuffer.buffer, fpBuffer.byteOffset, FPSTATE_MAX);

function alignDown(a: number, to: number): number {
  return Math.floor(a / to) * to;
}

/** on_sig_stack() */
function onAltStack(t: Task, sp: number): boolean {
  if ((t.altStackFlags & SS_AUTODISARM) !== 0) return false;
  return sp > t.altStackSp && sp - t.altStackSp <= t.altStackSize;
}

/** sas_ss_flags() */
export function altStackState(t: Task, sp: number): number {
  if (t.altStackSize === 0) return SS_DISABLE;
  return onAltStack(t, sp) ? SS_ONSTACK : 0;
}

function resetAltStack(t: Task): void {
  t.altStackSp = 0;
  t.altStackSize = 0;
  t.altStackFlags = SS_DISABLE;
}

/** do_sigaltstack(): 0 or −errno. */
export function setAltStack(t: Task, ssSp: number, ssFlags: number, ssSize: number, userSp: number): number {
  if (onAltStack(t, userSp)) return -EPERM;
  const mode = (ssFlags & ~SS_AUTODISARM) >>> 0;
  if (mode !== SS_DISABLE && mode !== SS_ONSTACK && mode !== 0) return -EINVAL;
  // No change: what has never been set, zeros, may be too small.
  if (t.altStackSp === ssSp && t.altStackSize === ssSize && t.altStackFlags === ssFlags >>> 0) return 0;
  if (mode === SS_DISABLE) {
    t.altStackSp = 0;
    t.altStackSize = 0;
  } else {
    if (ssSize < MINSIGSTKSZ) return -ENOMEM;
    t.altStackSp = ssSp;
    t.altStackSize = ssSize;
  }
  t.altStackFlags = ssFlags >>> 0;
  return 0;
}

/** Writes the three words of stack_t. */
export function putAltStack(t: Task, v: DataView, at: number, flags: number): void {
  setU64(v, at, t.altStackSp);
  v.setUint32(at + 8, flags >>> 0, true);
  v.setUint32(at + 12, 0, true);
  setU64(v, at + 16, t.altStackSize);
}

/** setup_rt_frame(): 0, or −EFAULT if the stack cannot take it. Registers and mask are changed on success only. */
export function setupSignalFrame(t: Task, sig: number, info: SigInfo): number {
  t.mem.anyKey = true;
  const r = putFrame(t, sig, info);
  t.mem.anyKey = false;
  return r;
}

function putFrame(t: Task, sig: number, info: SigInfo): number {
  const h = t.group.handlers;
  const flags = h.flags[sig]!;
  if ((flags & SA_RESTORER) === 0) return -EFAULT;
  if (t.ctx.stopsInRseq && !abortRseq(t)) return -EFAULT;
  const regs = t.ctx.regs();
  const userSp = regs.get(RSP);
  const nested = onAltStack(t, userSp);
  let sp = userSp - RED_ZONE;
  const entering = h.wantsAltStack(sig) && altStackState(t, sp) === 0;
  if (entering) sp = t.altStackSp + t.altStackSize;
  const fpSize = t.ctx.getFpState(fpBuffer);
  usualFpSize = fpSize;
  const fpAddr = alignDown(sp - fpSize, 64);
  const frame = alignDown(fpAddr - FRAME_SIZE, 16) - 8;
  if ((nested || entering) && frame <= t.altStackSp) return -EFAULT;
  if (frame <= 0 || fpAddr + fpSize > TASK_SIZE) return -EFAULT;

  buffer.fill(0);
  setU64(view, 0, h.restorer[sig]!);
  setU64(view, FRAME_UC + UC_FLAGS, UC_FLAGS_VALUE);
  putAltStack(t, view, FRAME_UC + UC_STACK, t.altStackFlags);
  const mask = t.restoreSigMask ? t.savedSigMask : t.sigMask;
  putSigcontext(view, FRAME_UC + UC_MCONTEXT, regs, t.fault, mask.lo, mask.hi, fpAddr);
  view.setUint32(FRAME_UC + UC_SIGMASK, mask.lo, true);
  view.setUint32(FRAME_UC + UC_SIGMASK + 4, mask.hi, true);
  info.bytes.copy(buffer, FRAME_INFO, 0, SIGINFO_SIZE);
  if (t.mem.copyOut(fpAddr, fpBuffer, 0, fpSize) !== 0) return -EFAULT;
  if (t.mem.copyOut(frame, buffer, 0, FRAME_SIZE) !== 0) return -EFAULT;

  enterHandler(regs, h.handler[sig]!, sig, frame);
  t.ctx.regsChanged();
  t.ctx.resetFpState();
  // signal_delivered()
  const nodefer = (flags & SA_NODEFER) !== 0;
  t.restoreSigMask = false;
  let lo = t.sigMask.lo | h.maskLo[sig]!;
  let hi = t.sigMask.hi | h.maskHi[sig]!;
  if (!nodefer) {
    if (sig <= 32) lo |= 1 << (sig - 1);
    else hi |= 1 << (sig - 33);
  }
  t.kernel.setSigMask(t, lo, hi);
  if ((t.altStackFlags & SS_AUTODISARM) !== 0) resetAltStack(t);
  return 0;
}

/** What rt_sigreturn reads at once: the frame, and the FP image that the kernel puts right behind it. */
const image = Buffer.alloc(FRAME_SIZE + 64 + FPSTATE_MAX);
const imageView = new DataView(image.buffer, image.byteOffset, image.length);
/** Size of the FP image of the last frame made: a guess for the next one read. */
let usualFpSize = FXSAVE_SIZE;

/** rt_sigreturn(2): false if the frame is not readable or its FP image is malformed (SIGSEGV). */
export function restoreSignalFrame(t: Task): boolean {
  t.mem.anyKey = true;
  const r = takeFrame(t);
  t.mem.anyKey = false;
  return r;
}

function takeFrame(t: Task): boolean {
  const regs = t.ctx.regs();
  const uc = regs.get(RSP) - 8 + FRAME_UC;
  const got = t.mem.copyInPartial(uc, image, 0, FRAME_SIZE + 64 + usualFpSize);
  if (got < UCONTEXT_SIZE) return false;
  image.copy(buffer, FRAME_UC, 0, UCONTEXT_SIZE);
  const maskLo = view.getUint32(FRAME_UC + UC_SIGMASK, true);
  const maskHi = view.getUint32(FRAME_UC + UC_SIGMASK + 4, true);
  if (!restoreFpState(t, getU64(view, FRAME_UC + UC_MCONTEXT + SC_FPSTATE), uc, got)) return false;
  t.kernel.setSigMask(t, maskLo, maskHi);
  const selector = getSigcontext(view, FRAME_UC, regs);
  t.ctx.regsChanged();
  const at = FRAME_UC + UC_STACK;
  setAltStack(t, getU64(view, at), view.getUint32(at + 8, true), getU64(view, at + 16), regs.get(RSP));
  if (selector < 0) return true;
  // The return to user mode faults.
  t.fault.trapNo = X86_TRAP_GP;
  t.fault.errorCode = selector;
  return false;
}

/**
 * fpu__restore_sig(): a null pointer resets, a missing magic number leaves the legacy FXSAVE part. `got` bytes from `from` on lie
 * in `image` already.
 */
function restoreFpState(t: Task, addr: number, from: number, got: number): boolean {
  if (addr === 0) {
    t.ctx.resetFpState();
    return true;
  }
  const inside = addr - from;
  const have = inside >= 0 && inside < got ? got - inside : 0;
  if (have > 0) fpBuffer.set(image.subarray(inside, Math.min(got, inside + FPSTATE_MAX)), 0);
  if (have < FXSAVE_SIZE && t.mem.copyIn(addr, fpBuffer, 0, FXSAVE_SIZE) !== 0) return false;
  if (addr !== alignDown(addr, FXSAVE_ALIGN)) return false;
  const extended = fpView.getUint32(FP_SW_RESERVED + 4, true);
  const known = Math.max(FXSAVE_SIZE, have);
  if (
    fpView.getUint32(FP_SW_RESERVED, true) !== FP_XSTATE_MAGIC1 ||
    extended <= FXSAVE_SIZE + XSAVE_HEADER_SIZE ||
    extended > FPSTATE_MAX
  ) {
    return restoreLegacyFpState(t);
  }
  if (extended > known && t.mem.copyIn(addr + known, fpBuffer, known, extended - known) !== 0) return false;
  if (fpView.getUint32(extended - 4, true) !== FP_XSTATE_MAGIC2) return restoreLegacyFpState(t);
  if (addr !== alignDown(addr, XSAVE_ALIGN) || !maskFeatures(t)) return false;
  return t.ctx.setFpState(fpBuffer, extended) || restoreLegacyFpState(t);
}

/** Features that this machine's XSAVE area has, low and high word; −1: not looked at yet. */
let featuresLo = -1;
let featuresHi = 0;

/**
 * What XRSTOR says of the header of the image in `fpBuffer`: false if it faults. What the frame's own description leaves out is
 * reset (xrstor_from_user_sigframe).
 */
function maskFeatures(t: Task): boolean {
  if (featuresLo < 0) {
    t.ctx.getFpState(image);
    featuresLo = imageView.getUint32(FP_SW_XFEATURES, true);
    featuresHi = imageView.getUint32(FP_SW_XFEATURES + 4, true);
  }
  const lo = fpView.getUint32(FXSAVE_SIZE, true);
  const hi = fpView.getUint32(FXSAVE_SIZE + 4, true);
  if ((lo & ~featuresLo) !== 0 || (hi & ~featuresHi) !== 0) return false;
  // XCOMP_BV, and the first of the reserved words: the others are not looked at.
  for (let at = 8; at < 24; at += 4) if (fpView.getUint32(FXSAVE_SIZE + at, true) !== 0) return false;
  fpBuffer.fill(0, FXSAVE_SIZE + 24, FXSAVE_SIZE + XSAVE_HEADER_SIZE);
  fpView.setUint32(FXSAVE_SIZE, lo & fpView.getUint32(FP_SW_XFEATURES, true), true);
  fpView.setUint32(FXSAVE_SIZE + 4, hi & fpView.getUint32(FP_SW_XFEATURES + 4, true), true);
  fpView.setUint32(FP_SW_XFEATURES, featuresLo, true);
  fpView.setUint32(FP_SW_XFEATURES + 4, featuresHi, true);
  return true;
}

/** The FXSAVE part of `fpBuffer` alone, everything else in its initial state (check_xstate_in_sigframe's setfx). */
function restoreLegacyFpState(t: Task): boolean {
  const size = t.ctx.getFpState(image);
  fpBuffer.copy(image, 0, 0, FP_SW_RESERVED);
  // XSTATE_BV: x87 and SSE.
  imageView.setUint32(FXSAVE_SIZE, 3, true);
  imageView.setUint32(FXSAVE_SIZE + 4, 0, true);
  return t.ctx.setFpState(image, size);
}
