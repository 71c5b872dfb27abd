/** CONNECT: a connection to a listening socket of the host that is a file of the tree (unix(7)), where that is allowed. */
import { ECONNREFUSED } from '../../sentry/abi/errno.ts';
import { SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM } from '../../sentry/abi/socket.ts';
import { closeFd } from '../host/fs.ffi.ts';
import { connectUnix, unixSocket } from '../host/unix.ffi.ts';
import { ProtocolError, type ServerContext } from './context.ts';
import { S_IFSOCK } from './inode-table.ts';

export function connect(ctx: ServerContext): number {
  const node = ctx.inode();
  const type = ctx.reader.u32();
  ctx.endOfRequest();
  if (type !== SOCK_STREAM && type !== SOCK_DGRAM && type !== SOCK_SEQPACKET) {
    throw new ProtocolError(`socket type ${type}`);
  }
  if (!node.mount.hostSockets || node.type !== S_IFSOCK) return -ECONNREFUSED;
  const at = ctx.table.fdOf(node);
  if (at < 0) return at;
  const fd = unixSocket(type);
  if (fd < 0) return fd;
  // The link is the kernel's own, for the descriptor whose type was looked at.
  const r = connectUnix(fd, `/proc/self/fd/${at}`);
  if (r < 0) closeFd(fd);
  else ctx.donate = fd;
  return r;
}
