/**
 * The publish pages: what the sentry tells all stubs at once, read-only for them. The memfd is sealed against new
 * writable mappings before the first guest maps it; only the mapping made here can write.
 */
import { viewHostMemory } from '../../sentry/host/memory.ffi.ts';
import * as host from '../../sentry/host/sys.ffi.ts';
import { assert } from '../../sentry/lib/assert.ts';
import type { ArgCopy, CopyPlan } from '../../sentry/platform/platform.ts';
import {
  PLAN_KIND_IN,
  PLAN_KIND_IN_BUF,
  PLAN_KIND_STRING,
  PLAN_SYSCALLS,
  PUBLISH_ASLEEP,
  PUBLISH_FAST,
  PUBLISH_NAMES,
  PUBLISH_PKRU,
  PUBLISH_PLAN,
  PUBLISH_SENTRY_CPU,
  PUBLISH_SIZE,
  PUBLISH_SPIN,
} from '../stub-layout.ts';

const MFD_CLOEXEC_ALLOW_SEALING = 3;
const F_ADD_SEALS = 1033;
const SEALS = 0x1 | 0x2 | 0x4 | 0x10; // SEAL, SHRINK, GROW, FUTURE_WRITE

/**
 * Calls that always need the caller's registers: they end in other registers, copy them, or nearly always in a signal
 * handler.
 */
const NEEDS_FRAME: ReadonlySet<number> = new Set([
  15, // rt_sigreturn
  34, // pause
  56, // clone
  57, // fork
  58, // vfork
  59, // execve
  60, // exit
  62, // kill
  101, // ptrace
  130, // rt_sigsuspend
  131, // sigaltstack
  158, // arch_prctl
  200, // tkill
  231, // exit_group
  234, // tgkill
  322, // execveat
  329, // pkey_mprotect
  330, // pkey_alloc
  435, // clone3
]);

/** One word per argument: kind in bits 0–1, the argument with the count in bits 2–4, size or unit from bit 8. */
function encode(plan: ArgCopy): number {
  if (plan === null) return 0;
  switch (plan.kind) {
    case 'string':
      return PLAN_KIND_STRING;
    case 'in':
      return PLAN_KIND_IN | (plan.size << 8);
    case 'inBuf':
      return PLAN_KIND_IN_BUF | (plan.lenArg << 2) | (plan.unit << 8);
  }
}

export class PublishPages {
  /** To be mapped read-only at PUBLISH_ADDR in every address space. */
  readonly fd: number;
  private readonly words: Int32Array;
  /** Generation of names, as stubs see it. */
  names = 0;
  /** Per syscall number, one bit per argument that stubs fetch. */
  readonly planned = new Uint8Array(PLAN_SYSCALLS);

  constructor(plan: CopyPlan) {
    this.fd = host.memfdCreate('publish', MFD_CLOEXEC_ALLOW_SEALING);
    assert(this.fd >= 0 && host.ftruncate(this.fd, PUBLISH_SIZE) === 0, 'memfd for the publish pages');
    const addr = host.mmap(0, PUBLISH_SIZE, 3, 1, this.fd, 0);
    assert(addr > 0, 'mapping of the publish pages');
    assert(host.fcntl(this.fd, F_ADD_SEALS, SEALS) === 0, 'seals of the publish pages');
    this.words = new Int32Array(viewHostMemory(addr, PUBLISH_SIZE));
    for (const [nr, args] of plan) {
      if (nr < 0 || nr >= PLAN_SYSCALLS) continue;
      args.forEach((arg, i) => {
        if (i >= 6 || arg === null) return;
        this.words[PUBLISH_PLAN / 4 + nr * 6 + i] = encode(arg);
        this.planned[nr]! |= 1 << i;
      });
    }
    for (let nr = 0; nr < PLAN_SYSCALLS; nr++) {
      if (!NEEDS_FRAME.has(nr)) this.words[PUBLISH_FAST / 4 + (nr >> 5)]! |= 1 << (nr & 31);
    }
  }

  /** True if a patched site may make this call without a frame. */
  isFast(nr: number): boolean {
    return nr >= 0 && nr < PLAN_SYSCALLS && !NEEDS_FRAME.has(nr);
  }

  setCpu(cpu: number): void {
    this.words[PUBLISH_SENTRY_CPU / 4] = cpu;
  }

  /** Full barrier: what stubs publish afterwards comes with a notification. */
  setAsleep(asleep: boolean): void {
    Atomics.store(this.words, PUBLISH_ASLEEP / 4, asleep ? 1 : 0);
  }

  /** Full barrier: who is answered afterwards finds it. Zero is kept for none. */
  setNames(generation: number): void {
    this.names = (generation % 0x7fffffff) + 1;
    Atomics.store(this.words, PUBLISH_NAMES / 4, this.names);
  }

  /** Where PKRU is in an XSAVE area. */
  setPkruOffset(offset: number): void {
    this.words[PUBLISH_PKRU / 4] = offset;
  }

  setSpin(rounds: number): void {
    this.words[PUBLISH_SPIN / 4] = rounds;
  }
}
