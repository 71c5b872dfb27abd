/** What a kernel keeps of all its io_urings: workers, requests by task, and rings by registered number. */
import type { Kernel } from '../../sentry/kernel/kernel.ts';
import type { Task, Work } from '../../sentry/kernel/task.ts';
import type { Request } from './request.ts';
import type { UringFile } from './uring-file.ts';

/** Requests that have not ended, of all tasks together. */
const REQUESTS_MAX = 16384;
const IDLE_MAX = 256;

export class KernelUrings {
  /** Workers without work. */
  readonly idle: Task[] = [];
  private count = 0;
  private readonly byTask = new WeakMap<Task, Set<Request>>();
  /** IORING_REGISTER_RING_FDS */
  readonly registered = new WeakMap<Task, (UringFile | null)[]>();

  constructor(k: Kernel) {
    k.taskExitHooks.push((t) => this.leave(t));
    k.execHooks.push((t) => this.leave(t));
  }

  get full(): boolean {
    return this.count >= REQUESTS_MAX;
  }

  track(r: Request): void {
    let own = this.byTask.get(r.owner);
    if (own === undefined) this.byTask.set(r.owner, (own = new Set()));
    if (own.has(r)) return;
    own.add(r);
    this.count++;
  }

  untrack(r: Request): void {
    if (this.byTask.get(r.owner)?.delete(r) === true) this.count--;
  }

  /** The worker has no work any more; wake-ups that are on their way mean nothing. */
  putBack(worker: Task): void {
    worker.errand = NO_WORK;
    if (this.idle.length < IDLE_MAX) this.idle.push(worker);
  }

  /** io_uring_files_cancel(): a thread ends, or its program is replaced. */
  private leave(t: Task): void {
    const own = this.byTask.get(t);
    while (own !== undefined && own.size > 0) {
      for (const r of [...own]) {
        r.terminate();
        r.ring.settle();
      }
    }
    const rings = this.registered.get(t);
    this.registered.delete(t);
    for (const ring of rings ?? []) ring?.unref();
  }
}

const NO_WORK: Work = { woken: () => {}, resume: () => {} };
const kernels = new WeakMap<Kernel, KernelUrings>();

export function uringsOf(k: Kernel): KernelUrings {
  let urings = kernels.get(k);
  if (urings === undefined) kernels.set(k, (urings = new KernelUrings(k)));
  return urings;
}
