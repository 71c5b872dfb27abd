/** From submission entries to requests, and to chains of them (io_uring/io_uring.c io_submit_sqes, io_init_req, io_submit_sqe). */
import { EACCES, EAGAIN, ECANCELED, EINVAL, EOPNOTSUPP } from '../../sentry/abi/errno.ts';
import * as U from '../../sentry/abi/io-uring.ts';
import type { Task } from '../../sentry/kernel/task.ts';
import { RUN_BUDGET } from '../io.ts';
import { uringsOf } from './kernel-urings.ts';
import { opOf } from './ops.ts';
import { NOP } from './op-ring.ts';
import { Request } from './request.ts';
import type { UringFile } from './uring-file.ts';

const LINKS = U.IOSQE_IO_LINK | U.IOSQE_IO_HARDLINK;
/** Entries of one run of the handler. */
const RUN_ENTRIES = 512;

/** What has become of a submission: entries consumed, and whether there is more to take in a later run. */
export interface Submission {
  count: number;
  isPaused: boolean;
  /** −errno of the call if nothing was consumed. */
  error: number;
}

const outcome: Submission = { count: 0, isPaused: false, error: 0 };

/** Takes up to `want` entries. The outcome is valid until the next call. */
export function submit(t: Task, ring: UringFile, want: number): Submission {
  const { rings } = ring;
  const n = Math.min(want, rings.submitted);
  outcome.count = 0;
  outcome.isPaused = false;
  outcome.error = 0;
  if (n === 0) return outcome;
  ring.moved = 0;
  ring.isSubmitting = true;
  for (let left = n; left > 0; left--) {
    if (ring.chainHead === null && (n - left >= RUN_ENTRIES || ring.moved >= RUN_BUDGET)) {
      outcome.isPaused = true;
      break;
    }
    if (uringsOf(t.kernel).full) {
      outcome.error = -EAGAIN;
      break;
    }
    const r = new Request(ring, t, NOP);
    if (!rings.take(r.sqe, left)) break;
    const error = accept(t, r);
    outcome.count++;
    if (error < 0 && (ring.setup & U.IORING_SETUP_SUBMIT_ALL) === 0) break;
  }
  if (ring.chainHead !== null) endChain(ring);
  rings.endSubmission();
  ring.settle();
  ring.isSubmitting = false;
  return outcome;
}

/** io_submit_sqe(): 0, or −errno if the entry was refused, of which its completion tells. */
function accept(t: Task, r: Request): number {
  const { ring } = r;
  const error = init(t, r);
  const { chainHead: head, chainLast: last } = ring;
  ring.inflight++;
  if (error < 0) {
    r.result = error;
    r.fail();
    // The chain is put together all the same, and fails as a whole.
    if (head !== null && !head.isFailed) {
      head.result = -ECANCELED;
      head.fail();
    }
  }
  const goesOn = (r.flags & LINKS) !== 0;
  if (last === null && !goesOn) {
    queue(r);
    return error;
  }
  if (last === null) ring.chainHead = r;
  else last.link = r;
  ring.chainLast = r;
  if (!goesOn) endChain(ring);
  return goesOn ? 0 : error;
}

function endChain(ring: UringFile): void {
  const first = ring.chainHead!;
  ring.chainHead = null;
  ring.chainLast = null;
  queue(first);
}

/** A chain begins, or waits behind those that drain. */
function queue(first: Request): void {
  const { ring } = first;
  const drains = first.has(U.IOSQE_IO_DRAIN);
  let count = 0;
  for (let r: Request | null = first; r !== null; r = r.link) count++;
  if (ring.drained.length > 0 || (drains && ring.inflight > count)) {
    ring.inflight -= count;
    ring.drained.push(first);
    uringsOf(first.owner.kernel).track(first);
    return;
  }
  if (first.isFailed) first.start();
  else first.issue();
}

/** io_init_req(): 0 or −errno. */
function init(t: Task, r: Request): number {
  const { ring, sqe } = r;
  const op = opOf(sqe[0]! & 0xff);
  const flags = (sqe[0]! >>> 8) & 0xff;
  r.flags = flags & U.SQE_VALID_FLAGS;
  if (op === null) return -EINVAL;
  r.op = op;
  if (flags !== r.flags) return -EINVAL;
  if (r.has(U.IOSQE_BUFFER_SELECT) && !op.selectsBuffer) return -EOPNOTSUPP;
  if (r.has(U.IOSQE_CQE_SKIP_SUCCESS)) ring.skipsCompletions = true;
  if (r.has(U.IOSQE_IO_DRAIN)) {
    if (ring.skipsCompletions) return -EOPNOTSUPP;
    // io_init_drain(): the chain that it is part of drains.
    if (ring.chainHead !== null) ring.chainHead.flags |= U.IOSQE_IO_DRAIN;
  }
  if (!isAllowed(ring, sqe[0]! & 0xff, flags)) return -EACCES;
  if (!op.usesPrio && r.prio !== 0) return -EINVAL;
  if (op.polls !== true && (ring.setup & U.IORING_SETUP_IOPOLL) !== 0) return -EINVAL;
  const personality = sqe[10]! >>> 16;
  if (personality !== 0) {
    r.creds = ring.personalities.get(personality) ?? null;
    if (r.creds === null) return -EINVAL;
  }
  return op.prep(r, t);
}

/** io_check_restriction() */
function isAllowed(ring: UringFile, opcode: number, flags: number): boolean {
  const x = ring.restrictions;
  if (x === null) return true;
  if (!x.sqeOps.has(opcode) || (flags & x.flagsRequired) !== x.flagsRequired) return false;
  return (flags & ~(x.flagsAllowed | x.flagsRequired)) === 0;
}
