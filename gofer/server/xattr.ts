/**
 * Extended attributes: user.* and access control lists, which are permissions. File capabilities can be read. The rest of
 * security.* and system.*, and trusted.*, of host files are none of the guest's business. user.* exists on regular files and
 * directories only, xattr(7).
 */
import { EACCES, ENODATA, EOPNOTSUPP, EPERM } from '../../sentry/abi/errno.ts';
import { XATTR_SIZE_MAX } from '../protocol/layout.ts';
import { closeFd, dataBuffer, getxattrFd, listxattrFd, removexattrFd, setxattrFd } from '../host/fs.ffi.ts';
import { ProtocolError } from './context.ts';
import type { ServerContext } from './context.ts';
import type { ServerInode } from './inode-table.ts';

function attributeName(ctx: ServerContext): string {
  const name = ctx.reader.string(255);
  if (name.includes('\0')) throw new ProtocolError('xattr name');
  return name;
}

/** What a program may do is read, never set: that would be a way to more rights on the host. */
const CAPABILITY = 'security.capability';
const ACLS: readonly string[] = ['system.posix_acl_access', 'system.posix_acl_default'];

function isOffered(name: string): boolean {
  return (name.startsWith('user.') && name.length > 5) || ACLS.includes(name);
}

/** Runs `call` on the opened inode; `other` is the result for types without user.* attributes. */
function onFile(ctx: ServerContext, node: ServerInode, other: number, call: (fd: number) => number): number {
  const fd = ctx.openReal(node, 0);
  if (fd === -EACCES) return other;
  if (fd < 0) return fd;
  const r = call(fd);
  closeFd(fd);
  return r;
}

export function getxattr(ctx: ServerContext): number {
  const node = ctx.inode();
  const name = attributeName(ctx);
  ctx.endOfRequest();
  if (!isOffered(name) && name !== CAPABILITY) return -EOPNOTSUPP;
  const n = onFile(ctx, node, -ENODATA, (fd) => getxattrFd(fd, name));
  if (n < 0) return n;
  ctx.writer.longString(dataBuffer.bytes.toString('latin1', 0, n));
  return 0;
}

export function setxattr(ctx: ServerContext): number {
  const node = ctx.inode();
  const flags = ctx.reader.u32();
  const name = attributeName(ctx);
  const value = ctx.reader.longString(XATTR_SIZE_MAX);
  ctx.endOfRequest();
  if (flags > 3) throw new ProtocolError('setxattr flags');
  if (!isOffered(name)) return -EOPNOTSUPP;
  const r = ctx.writable(node);
  if (r < 0) return r;
  return onFile(ctx, node, -EPERM, (fd) => setxattrFd(fd, name, value, flags));
}

export function listxattr(ctx: ServerContext): number {
  const node = ctx.inode();
  ctx.endOfRequest();
  const n = onFile(ctx, node, 0, listxattrFd);
  if (n < 0) return n;
  const names = dataBuffer.bytes
    .toString('latin1', 0, n)
    .split('\0')
    .filter((name) => isOffered(name) || name === CAPABILITY);
  ctx.writer.u32(names.length);
  for (const name of names) ctx.writer.string(name);
  return 0;
}

export function removexattr(ctx: ServerContext): number {
  const node = ctx.inode();
  const name = attributeName(ctx);
  ctx.endOfRequest();
  if (!isOffered(name)) return -EOPNOTSUPP;
  const r = ctx.writable(node);
  if (r < 0) return r;
  return onFile(ctx, node, -EPERM, (fd) => removexattrFd(fd, name));
}
