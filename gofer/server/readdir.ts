/**
 * Directory listings. One is under way at a time: the sentry reads a directory to its end, message by message,
 * and a restart drops what was unfinished.
 */
import { EINVAL, ENOTDIR } from '../../sentry/abi/errno.ts';
import {
  ATTR_NO_XATTR,
  ATTR_SIZE,
  DIRENT_FIXED,
  READDIR_ATTRS,
  READDIR_RESTART,
} from '../protocol/layout.ts';
import { closeFd, direntBuffer, getdents, listxattrLength, statxAt } from '../host/fs.ffi.ts';
import { ProtocolError } from './context.ts';
import type { DirStream, ServerContext } from './context.ts';
import { S_IFDIR } from './inode-table.ts';
import type { ServerInode } from './inode-table.ts';
import { step } from './lookup.ts';

// struct linux_dirent64
const D_INO = 0;
const D_RECLEN = 16;
const D_TYPE = 18;
const D_NAME = 19;

const ENTRY_MAX = DIRENT_FIXED + ATTR_SIZE + 255;

export function readdir(ctx: ServerContext): number {
  const node = ctx.inode();
  const flags = ctx.reader.u32();
  ctx.endOfRequest();
  if (flags > (READDIR_RESTART | READDIR_ATTRS)) throw new ProtocolError(`readdir flags ${flags}`);
  return list(ctx, node, flags);
}

/** A directory that the sentry knows by its name only: a walk to it, and its listing from the start. */
export function readdirName(ctx: ServerContext): number {
  const parent = ctx.inode();
  const flags = ctx.reader.u32();
  const name = ctx.componentName();
  ctx.endOfRequest();
  if ((flags & ~READDIR_ATTRS) !== 0) throw new ProtocolError(`readdir flags ${flags}`);
  // Not the last component of a walk: its descriptor is needed.
  const node = step(ctx, parent, name, false);
  if (typeof node === 'number') return node;
  ctx.putAttr(node.id);
  return list(ctx, node, flags | READDIR_RESTART);
}

function list(ctx: ServerContext, node: ServerInode, flags: number): number {
  if (node.type !== S_IFDIR) return -ENOTDIR;
  if (node.sealed) {
    ctx.writer.u32(0);
    ctx.writer.u32(1);
    return 0;
  }
  if ((flags & READDIR_RESTART) !== 0) {
    endStream(ctx);
    const fd = ctx.openReal(node, 0);
    if (fd < 0) return fd;
    ctx.stream = { node, fd, pos: 0, end: 0 };
  }
  const stream = ctx.stream;
  if (stream === null || stream.node !== node) return -EINVAL;
  const r = fill(ctx, stream, (flags & READDIR_ATTRS) !== 0);
  if (r <= 0) endStream(ctx);
  return Math.min(r, 0);
}

function endStream(ctx: ServerContext): void {
  if (ctx.stream === null) return;
  closeFd(ctx.stream.fd);
  ctx.stream = null;
}

/** Writes entries until the message is full (returns 1) or the directory ends (0); −errno if it cannot be read. */
function fill(ctx: ServerContext, stream: DirStream, withAttrs: boolean): number {
  const { writer } = ctx;
  const countAt = writer.reserve(4);
  const endAt = writer.reserve(4);
  let count = 0;
  let atEnd = 0;
  while (writer.room >= ENTRY_MAX) {
    if (stream.pos >= stream.end) {
      const n = getdents(stream.fd);
      if (n < 0) return n;
      if (n === 0) {
        atEnd = 1;
        break;
      }
      stream.pos = 0;
      stream.end = n;
    }
    const at = stream.pos;
    const { view, bytes } = direntBuffer;
    stream.pos += view.getUint16(at + D_RECLEN, true);
    const nameEnd = bytes.indexOf(0, at + D_NAME);
    const name = bytes.toString('latin1', at + D_NAME, nameEnd);
    if (name === '.' || name === '..') continue;
    const hasAttr =
      withAttrs && statxAt(stream.fd, name) >= 0 && !ctx.table.isSealed(stream.node.mount, stream.fd, name);
    writer.u8(view.getUint8(at + D_TYPE));
    writer.u8(name.length);
    writer.u8(hasAttr ? 1 : 0);
    writer.u8(0);
    writer.u32(view.getUint32(at + D_INO, true));
    writer.u32(view.getUint32(at + D_INO + 4, true));
    if (hasAttr) ctx.putAttr(0, listxattrLength(stream.fd, name) === 0 ? ATTR_NO_XATTR : 0);
    writer.rawString(name);
    count++;
  }
  ctx.setU32(countAt, count);
  ctx.setU32(endAt, atEnd);
  return atEnd === 1 ? 0 : 1;
}

/** True if the directory behind `fd`, at its beginning, has no entries. */
export function isEmpty(fd: number): boolean {
  const n = getdents(fd);
  if (n < 0) return false;
  let entries = 0;
  for (let at = 0; at < n; at += direntBuffer.view.getUint16(at + D_RECLEN, true)) entries++;
  // "." and ".."
  return entries <= 2;
}
