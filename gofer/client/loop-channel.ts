/** A Channel whose server runs in the same process, for unit tests of either side and of what stands on them. */
import { HostBuffer } from '../../sentry/host/memory.ffi.ts';
import { MESSAGE_MAX } from '../protocol/layout.ts';
import type { Channel } from './channel.ts';

/** What GoferServer offers; declared here because a client must not import the server. */
export interface LoopServer {
  readonly request: HostBuffer;
  readonly reply: HostBuffer;
  handle(length: number): number;
  takeDonation(): number;
}

export class LoopChannel implements Channel {
  readonly request = new HostBuffer(MESSAGE_MAX);
  readonly reply = new HostBuffer(MESSAGE_MAX);
  readonly pollFd = -1;
  donatedFd = -1;
  /** Requests so far. */
  requests = 0;
  broken = false;
  private readonly server: LoopServer;

  constructor(server: LoopServer) {
    this.server = server;
  }

  roundTrip(length: number): number {
    if (this.broken) return -1;
    this.requests++;
    this.request.bytes.copy(this.server.request.bytes, 0, 0, length);
    const n = this.server.handle(length);
    this.server.reply.bytes.copy(this.reply.bytes, 0, 0, n);
    this.donatedFd = this.server.takeDonation();
    return n;
  }

  isBroken(): boolean {
    return this.broken;
  }

  close(): void {
    this.broken = true;
  }
}
