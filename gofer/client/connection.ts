/**
 * One request and its reply at a time: writes the head, waits, and checks what came before anything of it is believed. A gofer
 * that breaks a rule of the protocol is gone for good. Never throws.
 */
import { EINVAL, EIO, ENFILE } from '../../sentry/abi/errno.ts';
import { openedForGuest } from '../../sentry/host/descriptors.ffi.ts';
import { close } from '../../sentry/host/sys.ffi.ts';
import type { GoferAttr, GoferOpened } from '../../sentry/gofer-api/gofer-api.ts';
import { getAttr } from '../protocol/attr.ts';
import * as layout from '../protocol/layout.ts';
import { MessageReader, MessageWriter } from '../protocol/message.ts';
import { regularFileAccess } from '../protocol/socket.ffi.ts';
import type { Channel } from './channel.ts';

const S_IFREG = 0o100000;
const S_IFMT = 0o170000;
/** Ids are sent back when this many are not needed any more. */
const FORGET_BATCH = 256;

export class GoferConnection {
  alive = true;
  protected readonly channel: Channel;
  protected readonly reader: MessageReader;
  protected readonly writer: MessageWriter;
  private readonly onGone: (why: string) => void;
  private seq = 0;
  /** Ids to forget; one that turns up again in a reply is taken out. */
  private readonly forgotten = new Set<number>();

  /** `onGone` hears once why there is no gofer any more. */
  constructor(channel: Channel, onGone: (why: string) => void) {
    this.channel = channel;
    this.reader = new MessageReader(channel.reply);
    this.writer = new MessageWriter(channel.request);
    this.onGone = onGone;
  }

  /** The handshake. Number of mounts the gofer serves, or −EIO. */
  hello(): number {
    const w = this.begin(layout.OP_HELLO);
    w.u32(layout.PROTOCOL_MAGIC);
    w.u32(layout.PROTOCOL_VERSION);
    w.u32(layout.MESSAGE_MAX);
    const r = this.call();
    if (r < 0) return r;
    const { reader } = this;
    const magic = reader.u32();
    const version = reader.u32();
    const max = reader.u32();
    const mounts = reader.u32();
    if (
      !reader.done() ||
      magic !== layout.PROTOCOL_MAGIC ||
      version !== layout.PROTOCOL_VERSION ||
      max !== layout.MESSAGE_MAX
    ) {
      return this.violation('handshake');
    }
    return mounts;
  }

  get pollFd(): number {
    return this.channel.pollFd;
  }

  checkAlive(): boolean {
    if (this.alive && this.channel.isBroken()) this.gone('the file server closed the connection');
    return this.alive;
  }

  forget(id: number): void {
    this.forgotten.add(id);
    if (this.forgotten.size >= FORGET_BATCH) this.flushForgotten();
  }

  /** Sends the ids of `forget` now. */
  flushForgotten(): void {
    if (this.forgotten.size === 0) return;
    const w = this.begin(layout.OP_FORGET);
    w.u32(this.forgotten.size);
    for (const id of this.forgotten) w.u32(id);
    this.forgotten.clear();
    this.callForStatus();
  }

  close(): void {
    if (!this.alive) return;
    this.alive = false;
    this.channel.close();
  }

  /** Starts a request. */
  protected begin(op: number): MessageWriter {
    this.seq = (this.seq + 1) >>> 0;
    this.writer.begin(op, this.seq);
    return this.writer;
  }

  /** Reads an attribute record. */
  protected attr(): GoferAttr {
    const at = this.reader.skip(layout.ATTR_SIZE);
    // A record that is not there: whoever looks at `done` drops this one.
    const attr = getAttr(this.channel.reply.view, Math.max(at, 0));
    if (attr.id !== 0) this.forgotten.delete(attr.id);
    return attr;
  }

  // Calls: −errno, or what the reply has.

  protected callForStatus(): number {
    const r = this.call();
    if (r < 0) return r;
    return this.reader.done() ? 0 : this.violation('reply');
  }

  protected callForAttr(): GoferAttr | number {
    const r = this.call();
    if (r < 0) return r;
    const attr = this.attr();
    return this.reader.done() ? attr : this.violation('attributes');
  }

  protected callForFile(access: number): GoferOpened | number {
    const r = this.call(true);
    const hostFd = this.channel.donatedFd;
    this.channel.donatedFd = -1;
    if (r < 0) {
      if (hostFd >= 0) close(hostFd);
      return r;
    }
    const attr = this.attr();
    if (hostFd === -ENFILE) return -ENFILE;
    if (!this.reader.done() || hostFd < 0 || (attr.mode & S_IFMT) !== S_IFREG) {
      if (hostFd >= 0) close(hostFd);
      return this.violation('open');
    }
    // The sentry must never hold a descriptor of a directory or device, nor one with more rights than it asked for.
    if (regularFileAccess(hostFd) !== access) {
      close(hostFd);
      return this.violation('donated descriptor');
    }
    const room = openedForGuest(hostFd);
    return room < 0 ? room : { attr, hostFd };
  }

  /** A request whose reply is a descriptor that has to be what was asked for. */
  protected callForFd(isRight: (fd: number) => boolean, what: string): number {
    const r = this.call(true);
    const fd = this.channel.donatedFd;
    this.channel.donatedFd = -1;
    if (r >= 0 && this.reader.done() && fd >= 0 && isRight(fd)) return openedForGuest(fd);
    if (fd >= 0) close(fd);
    if (r >= 0 && fd === -ENFILE) return fd;
    return r < 0 ? r : this.violation(what);
  }

  /** Sends the request and checks the head of the reply: its status, or −EIO when the gofer is gone. */
  protected call(mayDonate = false): number {
    if (!this.alive) return -EIO;
    // Requests are checked before they are written: what does not fit is a bug or a limit of ours.
    if (this.writer.overflow) return -EINVAL;
    const sent = this.writer.end();
    const n = this.channel.roundTrip(sent, mayDonate);
    if (n < 0) {
      this.gone('the file server does not answer');
      return -EIO;
    }
    const { reader } = this;
    if (!reader.begin(n) || reader.seq !== this.seq) return this.violation('reply header');
    const status = reader.status;
    if (status > 0 || status < -4095) return this.violation('reply status');
    if (status < 0 && !reader.done()) return this.violation('reply length');
    return status;
  }

  protected violation(what: string): number {
    this.gone(`the file server sent a malformed message: ${what}`);
    return -EIO;
  }

  private gone(why: string): void {
    if (!this.alive) return;
    this.alive = false;
    this.channel.close();
    this.onGone(why);
  }
}
