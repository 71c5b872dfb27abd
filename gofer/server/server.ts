/** Dispatch of requests: one packet in, one packet out. The loop around it is in main.ts. */
import { HostBuffer } from '../../sentry/host/memory.ffi.ts';
import { EIO } from '../../sentry/abi/errno.ts';
import * as layout from '../protocol/layout.ts';
import { closeFd } from '../host/fs.ffi.ts';
import { connect } from './connect.ts';
import { ProtocolError, ServerContext } from './context.ts';
import type { InodeTable, ServerMount } from './inode-table.ts';
import * as lookup from './lookup.ts';
import * as modify from './modify.ts';
import { readdir, readdirName } from './readdir.ts';
import * as watch from './watch.ts';
import * as xattr from './xattr.ts';

type Handler = (ctx: ServerContext) => number;

const handlers = new Map<number, Handler>([
  [layout.OP_ATTACH, lookup.attach],
  [layout.OP_WALK, lookup.walk],
  [layout.OP_GETATTR, lookup.getattr],
  [layout.OP_OPEN, lookup.open],
  [layout.OP_READLINK, lookup.readlink],
  [layout.OP_READDIR, readdir],
  [layout.OP_CREATE, modify.create],
  [layout.OP_MKDIR, modify.mkdir],
  [layout.OP_MKNOD, modify.mknod],
  [layout.OP_SYMLINK, modify.symlink],
  [layout.OP_LINK, modify.link],
  [layout.OP_UNLINK, modify.unlink],
  [layout.OP_RENAME, modify.rename],
  [layout.OP_SETATTR, modify.setattr],
  [layout.OP_FSYNC, lookup.fsync],
  [layout.OP_STATFS, lookup.statfs],
  [layout.OP_GETXATTR, xattr.getxattr],
  [layout.OP_SETXATTR, xattr.setxattr],
  [layout.OP_LISTXATTR, xattr.listxattr],
  [layout.OP_REMOVEXATTR, xattr.removexattr],
  [layout.OP_FORGET, lookup.forget],
  [layout.OP_EVENTS, watch.events],
  [layout.OP_WATCH, watch.watch],
  [layout.OP_TMPFILE, modify.tmpfile],
  [layout.OP_CONNECT, connect],
  [layout.OP_OPEN_NAME, lookup.openName],
  [layout.OP_UNWATCH, watch.unwatch],
  [layout.OP_READLINK_NAME, lookup.readlinkName],
  [layout.OP_READDIR_NAME, readdirName],
]);

export class GoferServer {
  readonly request = new HostBuffer(layout.MESSAGE_MAX);
  readonly reply = new HostBuffer(layout.MESSAGE_MAX);
  private readonly ctx: ServerContext;
  private greeted = false;

  constructor(table: InodeTable, mounts: readonly ServerMount[], procFd: number) {
    this.ctx = new ServerContext(table, mounts, procFd, this.request, this.reply);
    table.onForget = (node) => watch.endWatches(this.ctx, node);
  }

  /** Descriptor to send with the reply, or −1. Whoever takes it closes it. */
  takeDonation(): number {
    const fd = this.ctx.donate;
    this.ctx.donate = -1;
    return fd;
  }

  /**
   * Serves the request of `length` bytes in `request`; the reply is in `reply`, its length is returned.
   * Throws ProtocolError if the request is not one the protocol allows: the connection then has to end.
   */
  handle(length: number): number {
    const { ctx } = this;
    const { reader, writer } = ctx;
    if (!reader.begin(length)) throw new ProtocolError(`malformed packet of ${length} bytes`);
    const op = reader.op;
    if (reader.status !== 0) throw new ProtocolError('request with a status');
    writer.begin(op, reader.seq);
    let status: number;
    if (op === layout.OP_HELLO) {
      status = this.hello();
    } else {
      const handler = handlers.get(op);
      if (handler === undefined) throw new ProtocolError(`unknown operation ${op}`);
      if (!this.greeted) throw new ProtocolError(`operation ${op} before the handshake`);
      status = handler(ctx);
    }
    if (writer.overflow && status >= 0) status = -EIO;
    if (status < 0 && ctx.donate >= 0) closeFd(this.takeDonation());
    return writer.end(Math.min(status, 0));
  }

  private hello(): number {
    const { reader, writer } = this.ctx;
    const magic = reader.u32();
    const version = reader.u32();
    const messageMax = reader.u32();
    this.ctx.endOfRequest();
    if (this.greeted || magic !== layout.PROTOCOL_MAGIC) throw new ProtocolError('bad handshake');
    if (version !== layout.PROTOCOL_VERSION || messageMax !== layout.MESSAGE_MAX) {
      throw new ProtocolError(`sentry speaks version ${version}, this is version ${layout.PROTOCOL_VERSION}`);
    }
    this.greeted = true;
    writer.u32(layout.PROTOCOL_MAGIC);
    writer.u32(layout.PROTOCOL_VERSION);
    writer.u32(layout.MESSAGE_MAX);
    writer.u32(this.ctx.mounts.length);
    return 0;
  }
}
