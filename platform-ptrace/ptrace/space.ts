/** A guest address space: one traced host process. Its memory is reached with process_vm_readv/writev. */
import { EFAULT, ESRCH } from '../../sentry/abi/errno.ts';
import { residentPages } from '../ffi/process.ffi.ts';
import { HostBuffer } from '../../sentry/host/memory.ffi.ts';
import { assert } from '../../sentry/lib/assert.ts';
import type { AddressSpace } from '../../sentry/platform/platform.ts';
import type { PtraceContext } from './context.ts';
import { kill, processVmRead, processVmWrite } from './ptrace.ffi.ts';

const SIGKILL = 9;
/** Guest bytes pass through here, so that no JS buffer's address is ever needed. */
const bounce = new HostBuffer(256 * 1024);

export class PtraceSpace implements AddressSpace {
  /** Host process id, in the sandbox's PID namespace. */
  readonly pid: number;
  readonly members = new Set<PtraceContext>();
  dead = false;
  readonly hasKeys: boolean;

  constructor(pid: number, hasKeys: boolean) {
    this.pid = pid;
    this.hasKeys = hasKeys;
  }

  get contexts(): number {
    return this.members.size;
  }

  /** Any live thread: the leader may have exited before the others. */
  #anyTid(): number {
    for (const ctx of this.members) return ctx.tid;
    return -ESRCH;
  }

  read(addr: number, dst: Uint8Array, off: number, len: number): number {
    const tid = this.#anyTid();
    if (tid < 0) return -EFAULT;
    let done = 0;
    while (done < len) {
      const want = Math.min(len - done, bounce.size);
      const n = processVmRead(tid, bounce.addr, addr + done, want);
      if (n <= 0) break;
      bounce.bytes.copy(dst, off + done, 0, n);
      done += n;
      if (n < want) break;
    }
    return done > 0 || len === 0 ? done : -EFAULT;
  }

  write(addr: number, src: Uint8Array, off: number, len: number): number {
    const tid = this.#anyTid();
    if (tid < 0) return -EFAULT;
    let done = 0;
    while (done < len) {
      const want = Math.min(len - done, bounce.size);
      bounce.bytes.set(src.subarray(off + done, off + done + want));
      const n = processVmWrite(tid, bounce.addr, addr + done, want);
      if (n <= 0) break;
      done += n;
      if (n < want) break;
    }
    return done > 0 || len === 0 ? done : -EFAULT;
  }

  residency(addr: number, pages: number, out: Uint8Array, off: number): number {
    assert(off >= 0 && pages >= 0 && off + pages <= out.length, 'destination of residency');
    const tid = this.#anyTid();
    return tid < 0 ? tid : residentPages(tid, addr, pages, out, off);
  }

  forgetAnswers(): void {}

  useKeys(): void {}

  ownFutexes(): boolean {
    return false;
  }

  readonly isInterrupting = false;

  /** The platform's loop reaps the threads later; their ids stay taken until then. */
  destroy(): void {
    if (this.dead) return;
    this.dead = true;
    kill(this.pid, SIGKILL);
    for (const ctx of this.members) ctx.markDead();
    this.members.clear();
  }
}
