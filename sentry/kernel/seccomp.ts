/**
 * Seccomp of guests (kernel/seccomp.c): strict mode and chains of filters, evaluated before a syscall's handler. Whether
 * a call is allowed whatever its arguments is found out once per number and remembered.
 */
import { ENOSYS } from '../abi/errno.ts';
import { SIGKILL, SIGSYS } from '../abi/signal.ts';
import { RIP } from '../arch/regs.ts';
import { PTRACE_EVENT_SECCOMP } from '../abi/ptrace.ts';
import type { BpfProgram } from '../lib/bpf.ts';
import { runSeccomp } from './seccomp-bpf.ts';
import { argsFromRegs, ptraceEvent } from './ptrace-stops.ts';
import type { SeccompListener } from './seccomp-notify.ts';
import type { SeccompRules } from './seccomp-profile.ts';
import { sigInfoSeccomp } from './sig-info.ts';
import { forceSignal, groupExit } from './signal-send.ts';
import { SYS_DETACHED, type SysResult } from './syscall-table.ts';
import type { Task } from './task.ts';
import { endTask } from './task-exit.ts';

export const SECCOMP_RET_KILL_PROCESS = 0x80000000;
export const SECCOMP_RET_KILL_THREAD = 0;
export const SECCOMP_RET_TRAP = 0x00030000;
export const SECCOMP_RET_ERRNO = 0x00050000;
export const SECCOMP_RET_USER_NOTIF = 0x7fc00000;
export const SECCOMP_RET_TRACE = 0x7ff00000;
export const SECCOMP_RET_LOG = 0x7ffc0000;
export const SECCOMP_RET_ALLOW = 0x7fff0000;
const ACTION_MASK = 0xffff0000;
const MAX_ERRNO = 4095;
export const AUDIT_ARCH_X86_64 = 0xc000003e;
const TABLE_SIZE = 512;
/** nr and arch: what is known of a call without its arguments. */
const KNOWN_WORDS = 2;

// What is known of a call number in a chain: nothing yet, the same answer whatever the arguments, or to be asked each time.
const UNKNOWN = 0;
const CONSTANT = 1;
const ASK = 2;

/** Total instructions of a chain (MAX_INSNS_PER_PATH), with 4 per filter for its call. */
export const MAX_CHAIN_INSNS = 32768;

/** A program of a guest. */
export class BpfRules implements SeccompRules {
  private readonly program: BpfProgram;

  constructor(program: BpfProgram) {
    this.program = program;
  }

  get size(): number {
    return this.program.code.length;
  }

  run(data: Uint32Array, known: number): number | null {
    return runSeccomp(this.program, data, known);
  }
}

/** A filter and the ones installed before it. Immutable, shared by tasks; `rules` null: strict mode. */
export class SeccompFilter {
  readonly rules: SeccompRules | null;
  readonly prev: SeccompFilter | null;
  readonly log: boolean;
  readonly depth: number;
  /** Filters of the chain. */
  readonly count: number;
  /** Who answers SECCOMP_RET_USER_NOTIF of this very filter. */
  listener: SeccompListener | null = null;
  private readonly states = new Uint8Array(TABLE_SIZE);
  private readonly answers = new Uint32Array(TABLE_SIZE);

  constructor(rules: SeccompRules | null, prev: SeccompFilter | null, log = false) {
    this.rules = rules;
    this.prev = prev;
    this.log = log;
    this.depth = (rules?.size ?? 0) + 4 + (prev?.depth ?? 0);
    this.count = (rules === null ? 0 : 1) + (prev?.count ?? 0);
  }

  get strict(): boolean {
    return this.rules === null;
  }

  /** True if this filter is `other` or was installed on top of it. */
  isAbove(other: SeccompFilter | null): boolean {
    if (other === null || other === this) return true;
    for (let f = this.prev; f !== null; f = f.prev) if (f === other) return true;
    return false;
  }

  /** The chain's answer for a number whatever the arguments; −1 if it depends on them. */
  constant(nr: number): number {
    if (nr < 0 || nr >= TABLE_SIZE) return -1;
    if (this.states[nr] === UNKNOWN) {
      const answer = this.findConstant(nr);
      this.states[nr] = answer < 0 ? ASK : CONSTANT;
      this.answers[nr] = Math.max(0, answer);
    }
    return this.states[nr] === CONSTANT ? this.answers[nr]! : -1;
  }

  alwaysAllows(nr: number): boolean {
    return this.constant(nr) === SECCOMP_RET_ALLOW;
  }

  private findConstant(nr: number): number {
    const below = this.prev === null ? SECCOMP_RET_ALLOW : this.prev.constant(nr);
    if (below < 0) return -1;
    if (this.rules === null) return strictVerdict(nr);
    data[0] = nr;
    data[1] = AUDIT_ARCH_X86_64;
    const own = this.rules.run(data, KNOWN_WORDS);
    return own === null ? -1 : moreSevere(own >>> 0, below);
  }
}

/** Of two answers the one that counts, `newer` if they are alike (actions compare as signed: KILL_PROCESS is the lowest). */
function moreSevere(newer: number, older: number): number {
  return (newer & ACTION_MASK) <= (older & ACTION_MASK) ? newer : older;
}

const data = new Uint32Array(16);
/** The filter whose answer verdict() returned last. */
let decisive: SeccompFilter | null = null;

/** Runs the whole chain: the most severe answer counts (seccomp_run_filters). */
function verdict(t: Task, top: SeccompFilter): number {
  data[0] = t.sysno;
  data[1] = AUDIT_ARCH_X86_64;
  const regs = t.ctx.regs();
  data[2] = regs.words[2 * RIP]!;
  data[3] = regs.words[2 * RIP + 1]!;
  data.set(t.args.words.subarray(0, 12), 4);
  let worst = SECCOMP_RET_ALLOW;
  for (let f: SeccompFilter | null = top; f !== null; f = f.prev) {
    const r = f.rules === null ? strictVerdict(t.sysno) : f.rules.run(data, data.length)!;
    if ((r & ACTION_MASK) >= (worst & ACTION_MASK)) continue;
    worst = r;
    decisive = f;
  }
  return worst >>> 0;
}

/** Strict mode: read, write, rt_sigreturn, exit. */
function strictVerdict(nr: number): number {
  return nr === 0 || nr === 1 || nr === 15 || nr === 60 ? SECCOMP_RET_ALLOW : SECCOMP_RET_KILL_THREAD;
}

/**
 * __secure_computing(): null to go on, or the result that replaces the call. `traced`: a tracer has seen the call for
 * SECCOMP_RET_TRACE already, and may have changed it.
 */
export function checkSeccomp(t: Task, traced = false): SysResult | null {
  const top = t.seccomp!;
  const constant = top.constant(t.sysno);
  if (constant === SECCOMP_RET_ALLOW) return null;
  const r = constant >= 0 ? constant : verdict(t, top);
  switch ((r & ACTION_MASK) >>> 0) {
    case SECCOMP_RET_ALLOW:
    case SECCOMP_RET_LOG:
      return null;
    case SECCOMP_RET_ERRNO:
      return -Math.min(r & 0xffff, MAX_ERRNO);
    case SECCOMP_RET_TRACE:
      if (traced) return null;
      // Without a tracer that wants it "the system call is not executed and returns ENOSYS" - seccomp(2)
      return t.ptrace?.wants(PTRACE_EVENT_SECCOMP) === true ? askTracer(t, r & 0xffff) : -ENOSYS;
    case SECCOMP_RET_USER_NOTIF:
      return notify(t, top);
    case SECCOMP_RET_TRAP:
      forceSignal(t, sigInfoSeccomp(t.ctx.regs().get(RIP), t.sysno, r & 0xffff));
      return t.sysno;
    case SECCOMP_RET_KILL_THREAD:
      return killThread(t, top.strict ? SIGKILL : SIGSYS);
    default:
      return killProcess(t, r & 0xffff);
  }
}

/** PTRACE_EVENT_SECCOMP: the tracer may change the call, or leave it out by the number −1. */
function askTracer(t: Task, data: number): SysResult {
  ptraceEvent(t, PTRACE_EVENT_SECCOMP, data, (task) => {
    const p = task.ptrace;
    if (task.killed) {
      task.kernel.endDetached(task, -ENOSYS);
      return;
    }
    if (p !== null && !p.inSyscall) {
      task.kernel.endDetached(task, p.result);
      return;
    }
    argsFromRegs(task);
    task.kernel.runSeen(task);
  });
  return SYS_DETACHED;
}

/** seccomp_do_user_notification(); without a listener as if there was no such call. */
function notify(t: Task, top: SeccompFilter): SysResult {
  verdict(t, top);
  const listener = decisive?.listener ?? null;
  return listener === null || listener.closed ? -ENOSYS : listener.ask(t, data);
}

/** The chain has a filter with a listener: it may have no other. */
export function hasListener(top: SeccompFilter | null): boolean {
  for (let f = top; f !== null; f = f.prev) if (f.listener !== null) return true;
  return false;
}

/** The last thread takes the process with it. */
function killThread(t: Task, sig: number): SysResult {
  if (t.group.tasks.size > 1) {
    endTask(t, sig, -ENOSYS, true);
    return SYS_DETACHED;
  }
  if (sig === SIGSYS) return killProcess(t, 0);
  groupExit(t.group, sig);
  return -ENOSYS;
}

/** "Trigger a coredump with SIGSYS", with the registers as they were before the call. */
function killProcess(t: Task, data: number): SysResult {
  forceSignal(t, sigInfoSeccomp(t.ctx.regs().get(RIP), t.sysno, data), true);
  return t.sysno;
}
