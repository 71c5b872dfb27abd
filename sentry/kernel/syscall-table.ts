/**
 * The shape of the syscall table. syscalls/table.ts fills it; one row drives dispatch, the platform's copy plan, strace and
 * SYSCALLS.md.
 */
import type { SyscallArgs } from '../arch/syscall-args.ts';
import type { Task } from './task.ts';

/** ≥ 0: value, −4095…−1: errno, or one of the codes below or a −ERESTART* code. */
export type SysResult = number;

/** The task is parked (Task.block); the handler runs again when it is woken. */
export const SYS_BLOCKED = -0x10000;
/** Registers are set as they shall be (rt_sigreturn, execve): resume without a return value. */
export const SYS_RESUME_REGS = -0x10001;
/** The task waits for a platform operation or is gone; whoever finishes it resumes or ends the context. */
export const SYS_DETACHED = -0x10002;

export type SyscallHandler = (t: Task, a: SyscallArgs) => SysResult;

/** How strace prints an argument, and what the platform may fetch for it. */
export type ArgKind =
  | {
      readonly kind:
        | 'fd'
        | 'int'
        | 'uint'
        | 'long'
        | 'ulong'
        | 'size'
        | 'hex'
        | 'octal'
        | 'ptr'
        | 'signal'
        | 'pid'
        | 'off';
    }
  | { readonly kind: 'path' | 'string' }
  /** Names of flag bits or values, for printing. */
  | { readonly kind: 'flags' | 'enum'; readonly names: Readonly<Record<string, number>> }
  /** Pointer to an input, output or in/out struct of `size` bytes. */
  | { readonly kind: 'in' | 'out' | 'inout'; readonly size: number; readonly type?: string }
  /** Pointer to (argument `lenArg`) × `unit` bytes. */
  | { readonly kind: 'inBuf' | 'outBuf'; readonly lenArg: number; readonly unit: number };

export type Support = 'full' | 'partial' | 'none';

export interface SyscallRow {
  readonly nr: number;
  readonly name: string;
  readonly fn: SyscallHandler;
  readonly args: readonly ArgKind[];
  readonly support: Support;
  /** What is missing (partial) or why it is refused (none); goes into SYSCALLS.md. */
  readonly note?: string;
}

// Argument kinds for rows.
export const fd: ArgKind = { kind: 'fd' };
export const int: ArgKind = { kind: 'int' };
export const uint: ArgKind = { kind: 'uint' };
export const long: ArgKind = { kind: 'long' };
export const ulong: ArgKind = { kind: 'ulong' };
export const size: ArgKind = { kind: 'size' };
export const hex: ArgKind = { kind: 'hex' };
export const octal: ArgKind = { kind: 'octal' };
export const ptr: ArgKind = { kind: 'ptr' };
export const signal: ArgKind = { kind: 'signal' };
export const pid: ArgKind = { kind: 'pid' };
export const off: ArgKind = { kind: 'off' };
export const path: ArgKind = { kind: 'path' };
export const str: ArgKind = { kind: 'string' };
export const inStruct = (size: number, type?: string): ArgKind =>
  type === undefined ? { kind: 'in', size } : { kind: 'in', size, type };
export const outStruct = (size: number, type?: string): ArgKind =>
  type === undefined ? { kind: 'out', size } : { kind: 'out', size, type };
export const inoutStruct = (size: number): ArgKind => ({ kind: 'inout', size });
export const inBuf = (lenArg: number, unit = 1): ArgKind => ({ kind: 'inBuf', lenArg, unit });
export const outBuf = (lenArg: number, unit = 1): ArgKind => ({ kind: 'outBuf', lenArg, unit });
export const flags = (names: Readonly<Record<string, number>>): ArgKind => ({ kind: 'flags', names });
export const oneOf = (names: Readonly<Record<string, number>>): ArgKind => ({ kind: 'enum', names });
