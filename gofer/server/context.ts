/** What all request handlers share: the message being read, the reply being written, inodes and mounts. */
import { EISDIR, EACCES, EROFS } from '../../sentry/abi/errno.ts';
import type { HostBuffer } from '../../sentry/host/memory.ffi.ts';
import { ATTR_SIZE } from '../protocol/layout.ts';
import { putAttr } from '../protocol/attr.ts';
import { MessageReader, MessageWriter, isValidName } from '../protocol/message.ts';
import {
  O_CLOEXEC,
  O_DIRECTORY,
  O_NOCTTY,
  O_NONBLOCK,
  O_RDONLY,
  openAt,
  statxBuffer,
} from '../host/fs.ffi.ts';
import { S_IFDIR, S_IFREG } from './inode-table.ts';
import type { InodeTable, ServerInode, ServerMount, WatchKind } from './inode-table.ts';

/** The sentry broke the protocol: the gofer reports it and ends. */
export class ProtocolError extends Error {
  override name = 'ProtocolError';
}

const OPEN_FLAGS = O_NONBLOCK | O_NOCTTY | O_CLOEXEC;

/** A directory that is being listed. */
export interface DirStream {
  readonly node: ServerInode;
  readonly fd: number;
  pos: number;
  end: number;
}

/** An inotify instance. */
export interface WatchGroup {
  /** −1 until the sentry asks for it. */
  fd: number;
  /** How many inodes share a watch: one directory that is served twice has one. */
  readonly users: Map<number, number>;
}

export class ServerContext {
  readonly table: InodeTable;
  readonly mounts: readonly ServerMount[];
  /** O_PATH descriptor of /proc/self/fd. */
  readonly procFd: number;
  readonly reader: MessageReader;
  readonly writer: MessageWriter;
  private readonly out: HostBuffer;
  /** Descriptor that goes out with the reply and is closed then; −1 if none. */
  donate = -1;
  stream: DirStream | null = null;
  readonly watches: Record<WatchKind, WatchGroup> = {
    cacheWatch: { fd: -1, users: new Map() },
    guestWatch: { fd: -1, users: new Map() },
  };

  constructor(
    table: InodeTable,
    mounts: readonly ServerMount[],
    procFd: number,
    request: HostBuffer,
    reply: HostBuffer,
  ) {
    this.table = table;
    this.mounts = mounts;
    this.procFd = procFd;
    this.reader = new MessageReader(request);
    this.writer = new MessageWriter(reply);
    this.out = reply;
  }

  /** Call after the last argument was read and before anything is done. */
  endOfRequest(): void {
    if (!this.reader.done()) throw new ProtocolError(`malformed request, operation ${this.reader.op}`);
  }

  /** Reads an inode id. */
  inode(): ServerInode {
    const id = this.reader.u32();
    const node = this.table.get(id);
    if (node === undefined) throw new ProtocolError(`unknown inode ${id}, operation ${this.reader.op}`);
    return node;
  }

  /** Reads a name of one component. */
  componentName(): string {
    const name = this.reader.string(255);
    if (!isValidName(name)) throw new ProtocolError(`invalid name, operation ${this.reader.op}`);
    return name;
  }

  /** The same, or '' where there need not be one. */
  optionalName(): string {
    const name = this.reader.string(255);
    if (name !== '' && !isValidName(name))
      throw new ProtocolError(`invalid name, operation ${this.reader.op}`);
    return name;
  }

  /** Writes the attributes in statxBuffer. */
  putAttr(id: number, flags = 0): void {
    const at = this.writer.reserve(ATTR_SIZE);
    if (at >= 0) putAttr(this.out.view, at, id, statxBuffer.view, 0, flags);
  }

  /** Fills in a number reserved before. */
  setU32(at: number, n: number): void {
    this.out.view.setUint32(at, n, true);
  }

  /**
   * Opens the inode itself for I/O. Its type is known from the O_PATH descriptor, so this cannot be a device,
   * socket or FIFO; O_NONBLOCK keeps file leases from blocking the gofer.
   */
  openReal(node: ServerInode, flags: number): number {
    if (node.sealed) return -EACCES;
    const fd = this.table.fdOf(node);
    if (fd < 0) return fd;
    if (node.type === S_IFDIR) {
      if ((flags & 3) !== 0) return -EISDIR;
      return openAt(this.procFd, String(fd), O_RDONLY | O_DIRECTORY | OPEN_FLAGS);
    }
    if (node.type !== S_IFREG) return -EACCES;
    return openAt(this.procFd, String(fd), flags | OPEN_FLAGS);
  }

  /** −EROFS if nothing may be changed here, else 0. */
  writable(node: ServerInode): number {
    return node.mount.readOnly || node.sealed ? -EROFS : 0;
  }
}
