/** Mounting of FUSE: options, the root, the nodes that the kernel knows (fs/fuse/inode.c; mount.fuse3(8)). */
import { EINVAL, EIO, EPERM } from '../../abi/errno.ts';
import { S_IFMT } from '../../abi/stat.ts';
import type { Credentials } from '../../auth/credentials.ts';
import type { Task } from '../../kernel/task.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { registerFileSystem, registerSubtypes } from '../../vfs/fs-types.ts';
import { countServedMounts } from '../../vfs/served-call.ts';
import { SuperBlock, type StatFs } from '../../vfs/super-block.ts';
import { Connection, type ServedFileSystem } from './connection.ts';
import { FuseDevice, registerFuseDevice } from './device.ts';
import { FuseInode, isKind } from './inode.ts';
import * as P from './protocol.ts';

const FUSE_SUPER_MAGIC = 0x65735546;
const ZERO_TIME = { sec: 0, nsec: 0 };

interface FuseOptions {
  fd: number;
  rootMode: number;
  uid: number;
  gid: number;
  defaultPermissions: boolean;
  allowOther: boolean;
  maxRead: number;
  subtype: string;
}

/** fuse_parse_param(): −EINVAL for what it does not know or if fd, rootmode, user_id or group_id is missing. */
export function parseFuseOptions(data: string): FuseOptions | number {
  const o = { fd: -1, rootMode: -1, uid: -1, gid: -1, maxRead: 0, subtype: '' };
  let defaultPermissions = false;
  let allowOther = false;
  for (const option of data.split(',')) {
    if (option === '') continue;
    const eq = option.indexOf('=');
    const key = eq < 0 ? option : option.slice(0, eq);
    const value = eq < 0 ? '' : option.slice(eq + 1);
    const number = parseNumber(value, key === 'rootmode' ? 8 : 10);
    if (key === 'default_permissions') defaultPermissions = true;
    else if (key === 'allow_other') allowOther = true;
    else if (key === 'subtype' && o.subtype === '') o.subtype = value;
    else if (number < 0) return -EINVAL;
    else if (key === 'fd') o.fd = number;
    else if (key === 'rootmode') o.rootMode = number;
    else if (key === 'user_id') o.uid = number;
    else if (key === 'group_id') o.gid = number;
    else if (key === 'max_read') o.maxRead = number;
    else return -EINVAL;
  }
  if (o.fd < 0 || o.rootMode < 0 || o.uid < 0 || o.gid < 0 || !isKind(o.rootMode)) return -EINVAL;
  return { ...o, defaultPermissions, allowOther };
}

function parseNumber(text: string, radix: 8 | 10): number {
  if (!(radix === 8 ? /^[0-7]{1,11}$/ : /^\d{1,10}$/).test(text)) return -1;
  const n = parseInt(text, radix);
  return n <= 0xffffffff ? n : -1;
}

export class FuseSuperBlock extends SuperBlock implements ServedFileSystem {
  readonly fsType: string;
  readonly root: FuseInode;
  override readonly revalidates = true;
  override readonly served = true;
  readonly connection: Connection;
  readonly given: FuseOptions;
  private readonly nodes = new Map<string, FuseInode>();

  constructor(given: FuseOptions, connection: Connection) {
    super();
    this.given = given;
    this.connection = connection;
    this.fsType = given.subtype === '' ? 'fuse' : `fuse.${given.subtype}`;
    const { rootMode: mode } = given;
    const uid = connection.userNs.fromUid(given.uid);
    const gid = connection.userNs.fromGid(given.gid);
    const times = { atime: ZERO_TIME, mtime: ZERO_TIME, ctime: ZERO_TIME };
    this.root = new FuseInode(this, P.ROOT_NODE, {
      ino: 1, size: 0, blocks: 0, mode, nlink: 1, uid, gid, rdev: 0, ...times,
    }); // prettier-ignore
    this.nodes.set(P.ROOT_NODE, this.root);
    if (given.maxRead > 0) connection.maxRead = Math.min(P.MAX_DATA, Math.max(4096, given.maxRead));
    connection.fileSystem = this;
    countServedMounts(1);
  }

  /** fuse_allow_current_process(): a stranger's server could do strange things to a process by its answers. */
  allows(c: Credentials): boolean {
    const { given } = this;
    if (given.allowOther) return this.connection.userNs.contains(c.userNs);
    return (
      c.uid === given.uid && c.euid === given.uid && c.suid === given.uid &&
      c.gid === given.gid && c.egid === given.gid && c.sgid === given.gid
    ); // prettier-ignore
  }

  /** The inode of a node of the server's; −EIO if it is of another type than it was. */
  node(id: string, a: P.Attributes): FuseInode | number {
    const known = this.nodes.get(id);
    if (known !== undefined) return (known.mode & S_IFMT) === (a.mode & S_IFMT) ? known : -EIO;
    const inode = new FuseInode(this, id, a);
    this.nodes.set(id, inode);
    return inode;
  }

  forgetNode(inode: FuseInode): void {
    if (this.nodes.get(inode.node) === inode) this.nodes.delete(inode.node);
  }

  invalidateNode(node: string): void {
    this.nodes.get(node)?.invalidate();
  }

  invalidateEntry(parent: string, name: string): void {
    this.nodes.get(parent)?.forgetName(name);
  }

  override statfs(): StatFs | number {
    const r = this.connection.ask(P.STATFS, P.ROOT_NODE, Buffer.alloc(0));
    if (typeof r === 'number') return r;
    const b = r.reply;
    return {
      type: FUSE_SUPER_MAGIC,
      blocks: P.readU64(b, 0),
      bfree: P.readU64(b, 8),
      bavail: P.readU64(b, 16),
      files: P.readU64(b, 24),
      ffree: P.readU64(b, 32),
      bsize: b.readUInt32LE(40),
      namelen: b.readUInt32LE(44),
    };
  }

  override options(): string {
    const o = this.given;
    const { userNs } = this.connection;
    let s = `,user_id=${userNs.fromUid(o.uid)},group_id=${userNs.fromGid(o.gid)}`;
    if (o.defaultPermissions) s += ',default_permissions';
    if (o.allowOther) s += ',allow_other';
    if (o.maxRead > 0) s += `,max_read=${o.maxRead}`;
    return s;
  }

  override umountBegin(): void {
    this.connection.abort();
  }

  override release(): void {
    this.connection.abort();
    countServedMounts(-1);
  }
}

/** fuse_fill_super(): `fd` must be an open /dev/fuse of the caller's that no mount has yet. */
function mountFuse(t: CallContext | null, data: string): SuperBlock | number {
  if (t === null) return -EPERM;
  const options = parseFuseOptions(data);
  if (typeof options === 'number') return options;
  const device = (t as Task).fdTable.get(options.fd);
  if (!(device instanceof FuseDevice)) return -EINVAL;
  // A mount of a device that serves one already is another mount of the same.
  if (device.connection !== null) return device.connection.fileSystem ?? -EINVAL;
  const { userNs } = t.creds;
  options.uid = userNs.toUid(options.uid);
  options.gid = userNs.toGid(options.gid);
  if (options.uid < 0 || options.gid < 0) return -EINVAL;
  const connection = new Connection(userNs);
  device.connect(connection);
  return new FuseSuperBlock(options, connection);
}

export function registerFuse(): void {
  registerFuseDevice();
  const type = {
    name: 'fuse',
    nodev: true,
    mount: (t: CallContext | null, _source: string, _flags: number, data: string) => mountFuse(t, data),
  };
  registerFileSystem(type);
  registerSubtypes(type.name, (subtype) => ({
    ...type,
    name: `fuse.${subtype}`,
    mount: (t, _source, _flags, data) => mountFuse(t, `${data},subtype=${subtype}`),
  }));
}
