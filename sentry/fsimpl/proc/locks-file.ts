/** /proc/locks and the `lock:` lines of /proc/PID/fdinfo (fs/locks.c lock_get_status). */
import { major, minor } from '../../abi/device.ts';
import { F_RDLCK, F_WRLCK } from '../../abi/fcntl.ts';
import type { Pid, PidNamespace } from '../../kernel/pid-namespace.ts';
import type { FdTable } from '../../kernel/fd-table.ts';
import type { FileDescription } from '../../vfs/file-description.ts';
import type { Inode } from '../../vfs/inode.ts';
import type { Lease } from '../../vfs/leases.ts';
import {
  findConflict,
  findFlockConflict,
  lockedFiles,
  type FileLocks,
  type Flock,
  type RecordLock,
} from '../../vfs/locks.ts';

const typeName = (type: number): string => (type === F_WRLCK ? 'WRITE' : type === F_RDLCK ? 'READ' : 'UNLCK');

function place(inode: Inode): string {
  const hex = (n: number): string => n.toString(16).padStart(2, '0');
  return `${hex(major(inode.sb.dev))}:${hex(minor(inode.sb.dev))}:${inode.ino}`;
}

type AnyLock = RecordLock | Flock | Lease;

/** One lock without its number; '' if its process is not seen from `ns`. */
function status(inode: Inode, l: AnyLock, ns: PidNamespace): string {
  // An open-file-description lock is no process's.
  const pid = l.pid === null ? -1 : (l.pid as Pid).nrIn(ns);
  if (pid === 0) return '';
  const where = `${pid} ${place(inode)}`;
  if ('target' in l) {
    const breaking = l.target !== -1;
    const type = typeName(breaking ? l.target : l.type);
    return `LEASE  ${breaking ? 'BREAKING  ' : 'ACTIVE    '}${type} ${where} 0 EOF\n`;
  }
  if (!('start' in l)) return `FLOCK  ADVISORY  ${typeName(l.type)} ${where} 0 EOF\n`;
  const end = l.end === Infinity ? 'EOF' : l.end - 1;
  return `${l.pid === null ? 'OFDLCK' : 'POSIX '} ADVISORY  ${typeName(l.type)} ${where} ${l.start} ${end}\n`;
}

const blockerOf = (locks: FileLocks, l: RecordLock | Flock): RecordLock | Flock | null =>
  'start' in l
    ? findConflict(locks, l.owner, l.type, l.start, l.end)
    : findFlockConflict(locks, l.owner, l.type);

/** Each lock, and below it who waits for it. */
export function locksText(ns: PidNamespace): string {
  let text = '';
  let id = 0;
  for (const locks of lockedFiles) {
    for (const l of [...locks.flocks, ...locks.records, ...locks.leases]) {
      const line = status(locks.inode, l, ns);
      id++;
      if (line === '') continue;
      text += `${id}: ${line}`;
      for (const w of locks.wanted) {
        if (blockerOf(locks, w) === l) text += `${id}: -> ${status(locks.inode, w, ns)}`;
      }
    }
  }
  return text;
}

/** What the descriptor's open file, or the descriptor table, holds on the file. */
export function fdLocksText(f: FileDescription, table: FdTable, ns: PidNamespace): string {
  const { locks } = f.inode.identity;
  if (locks === null) return '';
  let text = '';
  let id = 0;
  for (const l of [...locks.flocks, ...locks.records, ...locks.leases]) {
    const own =
      'file' in l ? l.file === f && (!('owner' in l) || l.owner === f || l.owner === table) : l.owner === f;
    if (own) text += `lock:\t${++id}: ${status(f.inode, l, ns)}`;
  }
  return text;
}
