/**
 * Calls on file systems that programs serve (FUSE). An operation of such a file system cannot have its answer at once: it asks, returns
 * UNANSWERED, and the error finds its way out of the handler like any other. The kernel then has the task wait, and runs the
 * whole call again when the answer is there: what was asked before is found among the known answers, so each run gets one
 * question further. An answer is known by the question, not by its turn, because what a file system keeps between runs spares
 * questions; and it is given once in each run, as two opens are two files.
 */

import type { Credentials } from '../auth/credentials.ts';

/** Result of operations whose question has not been answered yet. */
export const UNANSWERED = -0x10200;

export interface Question {
  /** Run of the handler in which its answer was given. */
  run: number;
  /** Is this what it asked? */
  matches(operation: number, node: string, body: Uint8Array): boolean;
  /** The call that it was asked for is over. */
  callOver(): void;
  /** Nobody waits for the answer any more. */
  abandon(): void;
  /** Who waits has got a signal. */
  interrupt(): void;
}

/** Whom a question comes from. */
export interface Asker {
  served: ServedCall | null;
  /** The question of its call in hand was answered. */
  answered(): void;
  readonly creds: Credentials;
  readonly tid: number;
}

/** What has been asked and answered in a call. */
export class ServedCall {
  readonly asker: Asker;
  waiting: Question | null = null;
  /** The handler has noted how far it has come: the next run goes on from there. */
  keepsProgress = false;
  private readonly known: Question[] = [];
  private run = 0;

  constructor(asker: Asker) {
    this.asker = asker;
  }

  /** The handler runs, for the first time or again. */
  begin(): void {
    this.run++;
    this.keepsProgress = false;
  }

  find(operation: number, node: string, body: Uint8Array): Question | null {
    for (const q of this.known) {
      if (q.run === this.run || !q.matches(operation, node, body)) continue;
      q.run = this.run;
      return q;
    }
    return null;
  }

  /** `q`, which it waits for, has its answer. */
  answer(q: Question): void {
    this.waiting = null;
    this.known.push(q);
    this.asker.answered();
  }

  /** The answer has been made use of for good. */
  forget(q: Question): void {
    const i = this.known.indexOf(q);
    if (i >= 0) this.known.splice(i, 1);
  }

  end(): void {
    this.waiting?.abandon();
    this.waiting = null;
    for (const q of this.known) q.callOver();
  }
}

/** Mounted file systems of that kind: without any, calls need not be watched. */
export let servedMounts = 0;
let current: Asker | null = null;

export function countServedMounts(by: number): void {
  servedMounts += by;
}

/** A handler runs for `asker`; null: it is over. */
export function setAsker(asker: Asker | null): void {
  current = asker;
}

/** The call that is being handled; null where nobody could wait for an answer. */
export function servedCall(): ServedCall | null {
  if (current === null) return null;
  return (current.served ??= new ServedCall(current));
}
