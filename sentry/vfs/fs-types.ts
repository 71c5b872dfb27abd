/** File system types by name: what mount(2) can mount and /proc/filesystems lists (fs/filesystems.c). */
import { EINVAL } from '../abi/errno.ts';
import type { UserNamespace } from '../auth/credentials.ts';
import type { CallContext } from './call-context.ts';
import type { Dentry, Path } from './dentry.ts';
import { makeMount } from './mount-namespace.ts';
import { Mount } from './mount.ts';
import type { SuperBlock } from './super-block.ts';

/** Of fsconfig(2): a string, a file, or null for a flag. */
export type ParameterValue = string | Path | null;

/** Parameters that are judged one by one as fsconfig(2) brings them (struct fs_context_operations). */
export interface FsParameters {
  set(t: CallContext, key: string, value: ParameterValue): number;
  create(t: CallContext): SuperBlock | number;
  /** The context is closed. */
  release(): void;
}

export interface FileSystemType {
  readonly name: string;
  /** False: needs a block device. All of ours are `nodev`. */
  readonly nodev: boolean;
  /** Judges one option of fsconfig(2), `name` or `name=value`: 0 or −EINVAL. Without it they are judged together, at the mount. */
  readonly checkOption?: (option: string) => number;
  /** Names of options that take values, for the context's log: what is refused of them is the value. */
  readonly optionNames?: readonly string[];
  /** For types whose parameters may be files, or lead to some. They cannot be changed once it is mounted. */
  readonly parameters?: () => FsParameters;
  /** Who may mount it if not whoever may mount at all: the user namespace of what it shows (fs_context's user_ns). */
  readonly owner?: (t: CallContext) => UserNamespace | null;
  /** Where a mount of it begins for the caller, if not at the super block's root. */
  readonly rootOf?: (t: CallContext, sb: SuperBlock) => Dentry | number;
  /** Makes a super block from mount(2)'s source and data; `flags` are MS_*. `t` is null for the kernel's own mounts. */
  readonly mount: (t: CallContext | null, source: string, flags: number, data: string) => SuperBlock | number;
}

/** For types without options of their own: −EINVAL if there are any. */
export function noOptions(data: string): number {
  for (const c of data) if (c !== ',') return -EINVAL;
  return 0;
}

const types = new Map<string, FileSystemType>();

export function registerFileSystem(type: FileSystemType): void {
  types.set(type.name, type);
}

/** By type: `type.subtype` is a name for it, too (FS_HAS_SUBTYPE). */
const subtypes = new Map<string, (subtype: string) => FileSystemType>();

export function registerSubtypes(name: string, make: (subtype: string) => FileSystemType): void {
  subtypes.set(name, make);
}

export function fileSystemType(name: string): FileSystemType | undefined {
  const known = types.get(name);
  const dot = name.indexOf('.');
  if (known !== undefined || dot < 0) return known;
  return subtypes.get(name.slice(0, dot))?.(name.slice(dot + 1));
}

/** The mount of a super block that `type` made for the caller; −errno. */
export function mountOf(
  t: CallContext,
  type: FileSystemType,
  sb: SuperBlock,
  at: { readonly flags: number; readonly source: string },
): Mount | number {
  const root = type.rootOf?.(t, sb);
  if (typeof root === 'number') return root;
  return root === undefined ? makeMount(sb, at.flags, at.source) : new Mount(sb, root, at.flags, at.source);
}

export function fileSystemTypes(): IterableIterator<FileSystemType> {
  return types.values();
}
