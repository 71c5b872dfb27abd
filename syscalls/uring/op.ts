/** What an operation of io_uring is; ops.ts has them all. */
import type { SyscallRow } from '../../sentry/kernel/syscall-table.ts';
import type { Task } from '../../sentry/kernel/task.ts';
import type { Request } from './request.ts';

/** What is to be known of an opcode (io_uring/opdef.c). */
export interface Op {
  readonly name: string;
  /** sqe->fd is its file. */
  readonly needsFile: boolean;
  /** sqe->ioprio means something. */
  readonly usesPrio: boolean;
  readonly selectsBuffer: boolean;
  /** Rings of IORING_SETUP_IOPOLL take it. */
  readonly polls?: boolean;
  /** Its completions do not count for timeouts. */
  readonly isTimeout?: boolean;
  /** Looks at the entry when it is submitted: 0 or −errno. */
  prep(r: Request, t: Task): number;
  /** The row that carries it out; `t` is the worker, whose arguments are set here. −errno: it is not begun. */
  begin(r: Request, t: Task): SyscallRow | number;
  /** Completions that the request goes on after. */
  goesOn?(r: Request, result: number): boolean;
  /** Success of others than the results ≥ 0. */
  failed?(r: Request, result: number): boolean;
  /** The completion's flags for a result. */
  cqeFlags?(r: Request, result: number): number;
  /** What was put by for the request is given back. */
  end?(r: Request): void;
}
