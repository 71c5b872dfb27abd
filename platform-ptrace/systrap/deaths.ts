/** How guest processes end: by themselves, by a signal, or because they broke the protocol. */
import { HostBuffer } from '../../sentry/host/memory.ffi.ts';
import { close, hostSyscall } from '../../sentry/host/sys.ffi.ts';
import { assert } from '../../sentry/lib/assert.ts';
import { reap } from '../ffi/process.ffi.ts';
import type { SystrapSpace } from './space.ts';
import type { SystrapPlatform } from './systrap.ts';

const SIGKILL = 9;
const NR_EPOLL_CREATE1 = 291;
const EPOLL_CLOEXEC = 0x80000;

export class Deaths {
  /** An epoll instance with the pidfd of each guest process. */
  readonly fd: number;
  private readonly platform: SystrapPlatform;
  private readonly status = new HostBuffer(8);

  constructor(platform: SystrapPlatform) {
    this.platform = platform;
    this.fd = hostSyscall(NR_EPOLL_CREATE1, EPOLL_CLOEXEC, 0, 0, 0, 0, 0);
    assert(this.fd >= 0, 'epoll for process deaths');
  }

  /** Ends a process that broke the protocol. */
  kill(space: SystrapSpace, reason: string): void {
    this.platform.counters.kills++;
    this.bury(space, SIGKILL, reason);
  }

  /** Destroys a space and tells the kernel about each of its contexts. */
  private bury(space: SystrapSpace, signo: number, reason: string): void {
    if (space.dead) return;
    const { pool, events } = this.platform;
    const contexts = [...space.liveContexts()];
    space.destroy();
    if (space === this.platform.zygote.space) {
      pool.zygoteDied();
      return;
    }
    for (const ctx of contexts) if (!pool.forget(ctx)) events.onDeath(ctx, signo, reason);
  }

  /** Takes note of processes that have ended. */
  reap(): void {
    const { spaces } = this.platform;
    // Children that were refused at birth have no pidfd; they are found here too.
    for (;;) {
      const pid = reap(this.status.addr);
      if (pid === 0) return;
      const status = this.status.i32[0]!;
      const space = spaces.get(pid);
      if (space === undefined) continue;
      spaces.delete(pid);
      close(space.pidfd);
      space.pidfd = -1;
      const signo = status & 0x7f;
      this.bury(space, signo === 0 ? SIGKILL : signo, signo === 0 ? 'host process exited' : 'killed');
    }
  }
}
