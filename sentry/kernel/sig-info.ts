/**
 * SigInfo: siginfo_t in its 128-byte user layout (include/uapi/asm-generic/siginfo.h), private to the kernel. Made by
 * the functions here; rt_sigqueueinfo(2) keeps the caller's bytes.
 */
import { SIGCHLD, SIGINFO_SIZE, SIGSYS, SI_KERNEL, SYS_SECCOMP } from '../abi/signal.ts';

/** AUDIT_ARCH_X86_64 (include/uapi/linux/audit.h) */
const AUDIT_ARCH_X86_64 = 0xc000003e;

/** Infos share buffers: one of its own would have the C library allocate and V8 free for each signal. */
const INFOS_PER_BUFFER = 32;
let buffer = Buffer.alloc(0);
let used = 0;

function newBytes(): Buffer {
  if (used === buffer.length) {
    buffer = Buffer.alloc(INFOS_PER_BUFFER * SIGINFO_SIZE);
    used = 0;
  }
  used += SIGINFO_SIZE;
  return buffer.subarray(used - SIGINFO_SIZE, used);
}

export class SigInfo {
  readonly bytes: Buffer = newBytes();
  /** User whose RLIMIT_SIGPENDING count this entry is part of, −1 if none. */
  accountedUid = -1;
  /** POSIX timer that sent it; its owner is told when the signal is taken (overrun counting), else null. */
  timer: { onDequeue(info: SigInfo): void } | null = null;

  constructor(signo: number, code: number) {
    this.bytes.writeInt32LE(signo, 0);
    this.bytes.writeInt32LE(code, 8);
  }

  get signo(): number {
    return this.bytes.readInt32LE(0);
  }

  set signo(v: number) {
    this.bytes.writeInt32LE(v, 0);
  }

  get errno(): number {
    return this.bytes.readInt32LE(4);
  }

  get code(): number {
    return this.bytes.readInt32LE(8);
  }

  get pid(): number {
    return this.bytes.readInt32LE(16);
  }

  get uid(): number {
    return this.bytes.readUInt32LE(20);
  }

  /** SIGCHLD's si_status. */
  get status(): number {
    return this.bytes.readInt32LE(24);
  }

  /** si_value.sival_int */
  get int(): number {
    return this.bytes.readInt32LE(24);
  }

  /** si_addr or si_ptr's place at 16 (faults). */
  get addr(): number {
    return this.bytes.readUInt32LE(20) * 0x100000000 + this.bytes.readUInt32LE(16);
  }

  /** SI_FROMUSER(): sent by a process rather than by the kernel. */
  get fromUser(): boolean {
    return this.code <= 0;
  }
}

function writeU64(b: Buffer, at: number, v: number): void {
  b.writeUInt32LE(v >>> 0, at);
  b.writeUInt32LE(Math.floor(v / 0x100000000) >>> 0, at + 4);
}

/** A signal of the kernel's own making without details (SI_KERNEL). */
export function sigInfoKernel(signo: number): SigInfo {
  return new SigInfo(signo, SI_KERNEL);
}

/** kill(2), tgkill(2): `code` SI_USER or SI_TKILL. */
export function sigInfoUser(signo: number, code: number, pid: number, uid: number): SigInfo {
  const s = new SigInfo(signo, code);
  s.bytes.writeInt32LE(pid, 16);
  s.bytes.writeUInt32LE(uid, 20);
  return s;
}

/** SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP. */
export function sigInfoFault(signo: number, code: number, addr: number): SigInfo {
  const s = new SigInfo(signo, code);
  writeU64(s.bytes, 16, addr);
  return s;
}

/** SIGSEGV with SEGV_PKUERR (force_sig_pkuerr()): `key` guards what was touched. */
export function sigInfoKey(signo: number, code: number, addr: number, key: number): SigInfo {
  const s = sigInfoFault(signo, code, addr);
  s.bytes.writeUInt32LE(key, 32);
  return s;
}

/** SIGCHLD (or the exit signal) about a child; times in clock ticks (USER_HZ = 100). */
export function sigInfoChild(
  signo: number,
  code: number,
  pid: number,
  uid: number,
  status: number,
  utime: number,
  stime: number,
): SigInfo {
  const s = sigInfoUser(signo === 0 ? SIGCHLD : signo, code, pid, uid);
  s.bytes.writeInt32LE(status, 24);
  writeU64(s.bytes, 32, utime);
  writeU64(s.bytes, 40, stime);
  return s;
}

/** POSIX timers (SI_TIMER): `value` as two uint32. */
export function sigInfoTimer(
  signo: number,
  code: number,
  timerId: number,
  valueLo: number,
  valueHi: number,
): SigInfo {
  const s = new SigInfo(signo, code);
  s.bytes.writeInt32LE(timerId, 16);
  s.bytes.writeUInt32LE(valueLo >>> 0, 24);
  s.bytes.writeUInt32LE(valueHi >>> 0, 28);
  return s;
}

/** F_SETSIG / SIGIO: `code` POLL_*. */
export function sigInfoPoll(signo: number, code: number, band: number, fd: number): SigInfo {
  const s = new SigInfo(signo, code);
  writeU64(s.bytes, 16, band);
  s.bytes.writeInt32LE(fd, 24);
  return s;
}

/** SIGSYS of a seccomp filter's SECCOMP_RET_TRAP, or of syscall user dispatch. */
export function sigInfoSeccomp(callAddr: number, sysno: number, data: number, code = SYS_SECCOMP): SigInfo {
  const s = new SigInfo(SIGSYS, code);
  s.bytes.writeInt32LE(data, 4);
  writeU64(s.bytes, 16, callAddr);
  s.bytes.writeInt32LE(sysno, 24);
  s.bytes.writeUInt32LE(AUDIT_ARCH_X86_64, 28);
  return s;
}
