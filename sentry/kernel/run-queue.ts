/** What the kernel's loop has to carry on with: woken tasks, ends of processes, and long calls between two of their parts. */
import type { Task } from './task.ts';
import { exitThreads } from './task-exit.ts';
import type { ThreadGroup } from './thread-group.ts';

/** Handlers run in a row before the loop looks at the world again, and long calls continued in a turn. */
const READY_MAX = 256;
const YIELDED_PER_TURN = 8;

export class RunQueue {
  private ready: Task[] = [];
  /** Tasks in the middle of a long call, which go on when everybody else has had a turn. */
  private yielded: Task[] = [];
  private exits: ThreadGroup[] = [];
  private readonly resume: (t: Task) => void;

  /** `resume` takes a woken task on. */
  constructor(resume: (t: Task) => void) {
    this.resume = resume;
  }

  /** A woken task runs from run(), never from here. */
  add(t: Task): void {
    if (t.queued) return;
    t.queued = true;
    this.ready.push(t);
  }

  /** Like add, but for a later turn of the loop. */
  addYielded(t: Task): void {
    if (t.queued) return;
    t.queued = true;
    this.yielded.push(t);
  }

  /** Ends a process from the kernel's loop. */
  addExit(g: ThreadGroup): void {
    this.exits.push(g);
  }

  /** Nothing is ready, and nobody in the middle of a long call. */
  get empty(): boolean {
    return this.ready.length === 0 && this.exits.length === 0 && this.yielded.length === 0;
  }

  /** A turn of the loop begins: the first of those that have yielded go on in it. */
  resumeYielded(): void {
    if (this.yielded.length === 0) return;
    for (const t of this.yielded.splice(0, YIELDED_PER_TURN)) this.ready.push(t);
  }

  /**
   * Runs what has become ready: ends of processes, and the handlers of woken tasks. Tasks may go on waking each other in here (one
   * sends what another receives), so after READY_MAX the rest has to wait for the next turn: the loop has others to serve.
   */
  run(): void {
    for (let ran = 0; ran < READY_MAX && (this.ready.length > 0 || this.exits.length > 0);) {
      while (this.exits.length > 0) {
        const dying = this.exits;
        this.exits = [];
        for (const g of dying) exitThreads(g);
      }
      const batch = this.ready;
      this.ready = [];
      for (const t of batch) {
        t.queued = false;
        this.resume(t);
      }
      ran += batch.length;
    }
  }
}
