/**
 * The kernel's rt_sigframe (arch/x86/include/asm/sigframe.h) at the top of a slot's alternate stack: all registers of a
 * stopped guest thread. Its place and the size of the FP state depend on the CPU only; they are learned once, from the
 * zygote's first trap, and never read from a guest's slot again.
 */
import {
  CS,
  EFLAGS,
  FIX_EFLAGS,
  FS_BASE,
  GS_BASE,
  ORIG_RAX,
  R10,
  R8,
  R9,
  RAX,
  RDI,
  RDX,
  type Regs,
  RIP,
  RSI,
  RSP,
  SS,
} from '../../sentry/arch/regs.ts';
import {
  FP_SW_RESERVED,
  FP_XSTATE_MAGIC1,
  FP_XSTATE_MAGIC2,
  FRAME_SIZE,
  FRAME_UC,
  FXSAVE_SIZE,
  SC_CS,
  SC_EFLAGS,
  SC_FPSTATE,
  SIGCONTEXT_REGS,
  UC_MCONTEXT,
  UC_SIGMASK,
  UC_STACK,
  USER_CS,
  USER_DS,
} from '../../sentry/arch/signal-frame.ts';
import {
  AREA_ADDR,
  INIT_PKRU,
  SLOT_FAST_RIP,
  SLOT_FAST_RSP,
  SLOT_FRAME,
  SLOT_FS_BASE,
  SLOT_GS_BASE,
  SLOT_SIZE,
  SLOT_STACK,
  STACK_SIZE,
  XFEATURE_PKRU,
} from '../stub-layout.ts';
import type { SharedMemory } from './shared-memory.ts';

// Offsets in bytes from the frame.
const UC_STACK_SP = FRAME_UC + UC_STACK;
const UC_STACK_FLAGS = UC_STACK_SP + 8;
const UC_STACK_SIZE = UC_STACK_SP + 16;
const MCONTEXT = FRAME_UC + UC_MCONTEXT;
const MC_CS = MCONTEXT + SC_CS;
const MC_FPSTATE = MCONTEXT + SC_FPSTATE;
const SIGMASK = FRAME_UC + UC_SIGMASK;

// struct _fpx_sw_bytes in the FXSAVE area (arch/x86/include/uapi/asm/sigcontext.h).
const SW_MAGIC1 = FP_SW_RESERVED;
const SW_EXTENDED_SIZE = FP_SW_RESERVED + 4;
const SW_XFEATURES = FP_SW_RESERVED + 8;
const SW_XSTATE_SIZE = FP_SW_RESERVED + 16;
const XSTATE_HEADER = FXSAVE_SIZE;
const FCW = 0;
const MXCSR = 24;
const MXCSR_MASK = 28;

const FAST_ARGS = [RDI, RSI, RDX, R10, R8, R9];

/** Unlike a DataView, which would have to be made for each image, this costs nothing. */
function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

export interface SlotRef {
  /** Word index of the slot in the window. */
  readonly base: number;
  /** Number of the slot in its area. */
  readonly index: number;
}

export class FrameLayout {
  private readonly memory: SharedMemory;
  /** Byte offset of the frame in its slot. */
  readonly offset: number;
  private readonly fpOffset: number;
  readonly fpSize: number;
  private readonly initialFp: Uint8Array;
  /** Where PKRU is in the FP state; 0: the CPU has none. */
  private readonly pkruOffset: number;

  /** `slot` holds the zygote's first trap. */
  constructor(memory: SharedMemory, slot: SlotRef, pkruOffset: number) {
    this.memory = memory;
    this.pkruOffset = pkruOffset;
    const slotAddr = AREA_ADDR + slot.index * SLOT_SIZE;
    this.offset = memory.loadNumber(slot.base + SLOT_FRAME / 4) - slotAddr;
    if (!(this.offset > SLOT_STACK && this.offset + FRAME_SIZE < SLOT_STACK + STACK_SIZE))
      throw new Error(`zygote: signal frame at offset ${this.offset}`);
    this.fpOffset = memory.loadNumber(slot.base + (this.offset + MC_FPSTATE) / 4) - slotAddr;
    this.fpSize = memory.loadRelaxed(slot.base + (this.fpOffset + SW_EXTENDED_SIZE) / 4);
    if (
      !(this.fpOffset >= this.offset + FRAME_SIZE && this.fpSize > XSTATE_HEADER) ||
      this.fpOffset + this.fpSize > SLOT_STACK + STACK_SIZE
    )
      throw new Error(`zygote: FP state at offset ${this.fpOffset}, ${this.fpSize} bytes`);
    if (pkruOffset + 8 > this.fpSize) throw new Error(`zygote: PKRU at offset ${pkruOffset}`);
    this.initialFp = new Uint8Array(this.fpSize);
    memory.copyOut(slot.base, this.fpOffset, this.initialFp, 0, this.fpSize);
    this.clearFp(this.initialFp);
  }

  /** Makes an image that loads the state after execve: no feature in use but PKRU, control words at their defaults. */
  private clearFp(image: Uint8Array): void {
    const view = new DataView(image.buffer);
    const mask = view.getUint32(MXCSR_MASK, true);
    image.fill(0, 0, SW_MAGIC1);
    image.fill(0, XSTATE_HEADER, this.fpSize - 4);
    view.setUint16(FCW, 0x37f, true);
    view.setUint32(MXCSR, 0x1f80, true);
    view.setUint32(MXCSR_MASK, mask, true);
    if (this.pkruOffset === 0) return;
    view.setUint32(XSTATE_HEADER, 1 << XFEATURE_PKRU, true);
    view.setUint32(this.pkruOffset, INIT_PKRU, true);
  }

  /** PKRU in a frame; 0 where there is none. */
  readPkru(slot: SlotRef): number {
    if (this.pkruOffset === 0) return 0;
    const fp = slot.base + this.fpOffset / 4;
    const inUse = this.memory.loadRelaxed(fp + XSTATE_HEADER / 4) & (1 << XFEATURE_PKRU);
    return inUse === 0 ? 0 : this.memory.loadRelaxed(fp + this.pkruOffset / 4) >>> 0;
  }

  writePkru(slot: SlotRef, value: number): void {
    if (this.pkruOffset === 0) return;
    const header = slot.base + (this.fpOffset + XSTATE_HEADER) / 4;
    this.memory.storeRelaxed(header, this.memory.loadRelaxed(header) | (1 << XFEATURE_PKRU));
    this.memory.storeRelaxed(slot.base + (this.fpOffset + this.pkruOffset) / 4, value | 0);
  }

  /** Copies a stopped thread's frame into another slot and makes it load and return there. */
  copyFrame(from: SlotRef, to: SlotRef): void {
    const { memory } = this;
    const at = this.offset / 4;
    memory.move(to.base + at, from.base + at, (SLOT_STACK + STACK_SIZE) / 4 - at);
    memory.move(to.base + SLOT_FS_BASE / 4, from.base + SLOT_FS_BASE / 4, 4);
    this.bindFrame(to);
  }

  /** Sets everything in a frame that depends on the slot, and the empty host signal mask. */
  bindFrame(slot: SlotRef): void {
    const { memory } = this;
    const slotAddr = AREA_ADDR + slot.index * SLOT_SIZE;
    const frame = slot.base + this.offset / 4;
    memory.storeNumber(slot.base + SLOT_FRAME / 4, slotAddr + this.offset);
    memory.storeNumber(frame + UC_STACK_SP / 4, slotAddr + SLOT_STACK);
    memory.storeNumber(frame + UC_STACK_FLAGS / 4, 0);
    memory.storeNumber(frame + UC_STACK_SIZE / 4, STACK_SIZE);
    memory.storeNumber(frame + MC_FPSTATE / 4, slotAddr + this.fpOffset);
    memory.storeNumber(frame + SIGMASK / 4, 0);
  }

  readRegs(slot: SlotRef, sysno: number, regs: Regs): void {
    const { memory } = this;
    const { words } = regs;
    const mc = slot.base + (this.offset + MCONTEXT) / 4;
    for (let i = 0; i < SIGCONTEXT_REGS.length; i++) {
      const r = SIGCONTEXT_REGS[i]!;
      words[2 * r] = memory.loadRelaxed(mc + 2 * i);
      words[2 * r + 1] = memory.loadRelaxed(mc + 2 * i + 1);
    }
    regs.set(ORIG_RAX, sysno);
    words[2 * EFLAGS] = memory.loadRelaxed(mc + SC_EFLAGS / 4);
    words[2 * EFLAGS + 1] = 0;
    const selectors = memory.loadRelaxed(slot.base + (this.offset + MC_CS) / 4);
    regs.set(CS, selectors & 0xffff);
    regs.set(SS, (memory.loadRelaxed(slot.base + (this.offset + MC_CS) / 4 + 1) >>> 16) & 0xffff);
    regs.set(FS_BASE, memory.loadNumber(slot.base + SLOT_FS_BASE / 4));
    regs.set(GS_BASE, memory.loadNumber(slot.base + SLOT_GS_BASE / 4));
  }

  /** What is known of a call from a patched site: number, arguments, rip and rsp. The rest reads 0. */
  readFast(slot: SlotRef, sysno: number, args: Uint32Array, regs: Regs): void {
    const { memory } = this;
    regs.words.fill(0);
    FAST_ARGS.forEach((r, i) => {
      regs.words[2 * r] = args[2 * i]!;
      regs.words[2 * r + 1] = args[2 * i + 1]!;
    });
    regs.set(ORIG_RAX, sysno);
    regs.set(RAX, sysno);
    for (const [r, at] of [
      [RIP, SLOT_FAST_RIP],
      [RSP, SLOT_FAST_RSP],
    ] as const) {
      regs.words[2 * r] = memory.loadRelaxed(slot.base + at / 4);
      regs.words[2 * r + 1] = memory.loadRelaxed(slot.base + at / 4 + 1);
    }
    regs.words[2 * EFLAGS] = 0x202;
    regs.set(CS, USER_CS);
    regs.set(SS, USER_DS);
    regs.set(FS_BASE, memory.loadNumber(slot.base + SLOT_FS_BASE / 4));
    regs.set(GS_BASE, memory.loadNumber(slot.base + SLOT_GS_BASE / 4));
  }

  /** General registers, rip and the user's flags. Selectors and segment bases are not written. */
  writeRegs(slot: SlotRef, regs: Regs): void {
    const { memory } = this;
    const { words } = regs;
    const mc = slot.base + (this.offset + MCONTEXT) / 4;
    for (let i = 0; i < SIGCONTEXT_REGS.length; i++) {
      const r = SIGCONTEXT_REGS[i]!;
      memory.storeRelaxed(mc + 2 * i, words[2 * r]! | 0);
      memory.storeRelaxed(mc + 2 * i + 1, words[2 * r + 1]! | 0);
    }
    memory.storeRelaxed(mc + SC_EFLAGS / 4, (words[2 * EFLAGS]! & FIX_EFLAGS) | 0x202);
  }

  readFp(slot: SlotRef, dst: Uint8Array): number {
    this.memory.copyOut(slot.base, this.fpOffset, dst, 0, this.fpSize);
    // The software bytes describe this CPU; a guest may have scribbled over them.
    dst.set(this.initialFp.subarray(SW_MAGIC1, XSTATE_HEADER), SW_MAGIC1);
    dst.set(this.initialFp.subarray(this.fpSize - 4, this.fpSize), this.fpSize - 4);
    return this.fpSize;
  }

  /** Loads an image if the host kernel's rt_sigreturn would accept it (arch/x86/kernel/fpu/signal.c). */
  writeFp(slot: SlotRef, src: Uint8Array, size: number): boolean {
    if (size !== this.fpSize || src.length < size) return false;
    const own = this.initialFp;
    if (wordAt(src, SW_MAGIC1) !== FP_XSTATE_MAGIC1 || wordAt(src, size - 4) !== FP_XSTATE_MAGIC2)
      return false;
    for (let i = SW_EXTENDED_SIZE; i < SW_XSTATE_SIZE + 4; i++) if (src[i] !== own[i]) return false;
    // XSTATE_BV within the enabled features, standard format, reserved bytes 0.
    for (let i = 0; i < 8; i++) if ((src[XSTATE_HEADER + i]! & ~own[SW_XFEATURES + i]!) !== 0) return false;
    for (let i = 8; i < 64; i++) if (src[XSTATE_HEADER + i] !== 0) return false;
    const mask = wordAt(own, MXCSR_MASK) || 0xffbf;
    if ((wordAt(src, MXCSR) & ~mask) !== 0) return false;
    this.memory.copyIn(slot.base, this.fpOffset, src, 0, size);
    return true;
  }

  resetFp(slot: SlotRef): void {
    this.memory.copyIn(slot.base, this.fpOffset, this.initialFp, 0, this.fpSize);
  }
}
