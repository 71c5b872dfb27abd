/** /proc/PID/maps, with ioctl PROCMAP_QUERY: one mapping without the text (fs/proc/task_mmu.c do_procmap_query). */
import { E2BIG, EFAULT, EINVAL, ENAMETOOLONG, ENOENT, ENOTTY, ESRCH } from '../../abi/errno.ts';
import { PATH_MAX } from '../../abi/fcntl.ts';
import { PROT_EXEC, PROT_READ, PROT_WRITE } from '../../abi/mman.ts';
import type { Task } from '../../kernel/task.ts';
import { fromLoHi, hi32, lo32, PAGE_SIZE } from '../../lib/addr.ts';
import { mapsPart, vmaInode, vmaName, type FileName, type MapsPart } from '../../mm/maps.ts';
import type { MemPolicy } from '../../mm/mempolicy.ts';
import type { MemoryManager } from '../../mm/memory-manager.ts';
import type { Vma } from '../../mm/vma.ts';
import { scratch } from '../../usermem/user-memory.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import type { FileDescription } from '../../vfs/file-description.ts';
import { KernfsFileDescription } from '../kernfs/file.ts';
import { readerFileName } from './fd-dir.ts';
import { PidFile } from './nodes.ts';
import type { ProcSuperBlock } from './super-block.ts';
import type { Subject } from './subject.ts';

/** _IOWR('f', 17, struct procmap_query) */
const PROCMAP_QUERY = 0xc0686611;
// include/uapi/linux/fs.h enum procmap_query_flags
const VMA_READABLE = 1;
const VMA_WRITABLE = 2;
const VMA_EXECUTABLE = 4;
const VMA_SHARED = 8;
const COVERING_OR_NEXT_VMA = 0x10;
const FILE_BACKED_VMA = 0x20;
const PERMISSIONS = VMA_READABLE | VMA_WRITABLE | VMA_EXECUTABLE | VMA_SHARED;
const VALID_FLAGS = PERMISSIONS | COVERING_OR_NEXT_VMA | FILE_BACKED_VMA;
/** sizeof(struct procmap_query) */
const QUERY_SIZE = 104;
/** Its first fields, without which there is no question: size, query_flags, query_addr. */
const QUERY_MIN = 24;

function vmaFlags(v: Vma): number {
  return (
    ((v.prot & PROT_READ) !== 0 ? VMA_READABLE : 0) |
    ((v.prot & PROT_WRITE) !== 0 ? VMA_WRITABLE : 0) |
    ((v.prot & PROT_EXEC) !== 0 ? VMA_EXECUTABLE : 0) |
    (v.shared ? VMA_SHARED : 0)
  );
}

/** query_matching_vma() */
function matchingVma(mm: MemoryManager, addr: number, flags: number): Vma | null {
  const wanted = flags & PERMISSIONS;
  const orNext = (flags & COVERING_OR_NEXT_VMA) !== 0;
  for (let i = mm.table.indexAt(addr); ; i++) {
    const v = mm.table.at(i);
    if (v === undefined) return null;
    const fits = ((flags & FILE_BACKED_VMA) === 0 || v.backing !== null) && (vmaFlags(v) & wanted) === wanted;
    if (fits && (orNext || v.start <= addr)) return v;
    if (!orNext) return null;
  }
}

function setU64(word: number, value: number): void {
  scratch.u32[word] = lo32(value);
  scratch.u32[word + 1] = hi32(value);
}

function query(t: Task, s: Subject, arg: number): number {
  if (t.mem.copyIn(arg, scratch.bytes, 0, 8) !== 0) return -EFAULT;
  const w = scratch.u32;
  const size = fromLoHi(w[0]!, w[1]!);
  if (size > PAGE_SIZE) return -E2BIG;
  if (size < QUERY_MIN) return -EINVAL;
  scratch.bytes.fill(0, 0, QUERY_SIZE);
  if (t.mem.copyIn(arg, scratch.bytes, 0, size) !== 0) return -EFAULT;
  for (let i = QUERY_SIZE; i < size; i++) if (scratch.bytes[i] !== 0) return -E2BIG;
  const flags = w[2]!;
  if (w[3] !== 0 || (flags & ~VALID_FLAGS) !== 0) return -EINVAL;
  const nameSize = w[20]!;
  const nameAddr = fromLoHi(w[22]!, w[23]!);
  if ((nameSize !== 0) !== (nameAddr !== 0)) return -EINVAL;
  if ((w[21] !== 0) !== (w[24] !== 0 || w[25] !== 0)) return -EINVAL;
  const { mm } = s;
  if (mm === null) return -ESRCH;
  const v = matchingVma(mm, fromLoHi(w[4]!, w[5]!), flags);
  if (v === null) return -ENOENT;
  const { dev, ino } = vmaInode(v);
  setU64(6, v.start);
  setU64(8, v.end);
  setU64(10, vmaFlags(v));
  setU64(12, PAGE_SIZE);
  setU64(14, v.backing === null ? 0 : v.offset);
  setU64(16, ino);
  // Anonymous devices: major 0.
  w[18] = 0;
  w[19] = dev;
  // Build ids are not looked for: what Linux says of a file without one.
  w[21] = 0;
  const name = nameSize === 0 ? '' : vmaName(mm, v, readerFileName(t));
  w[20] = name === '' ? 0 : name.length + 1;
  if (w[20] > Math.min(nameSize, PATH_MAX)) return -ENAMETOOLONG;
  if (w[20] > 0) {
    const text = Buffer.from(`${name}\0`, 'latin1');
    if (t.mem.copyOut(nameAddr, text, 0, text.length) !== 0) return -EFAULT;
  }
  return t.mem.copyOut(arg, scratch.bytes, 0, Math.min(size, QUERY_SIZE)) !== 0 ? -EFAULT : 0;
}

/** maps and smaps of whatever address space the process has at the moment. */
export function mappings(
  make: (mm: MemoryManager, from: number, name: FileName, task: MemPolicy | null) => MapsPart,
): (s: Subject, reader: Task, from: number) => MapsPart | number {
  return (s, reader, from) => {
    const mm = s.mm;
    if (mm === null) return s.task === null ? -ESRCH : { text: '', next: -1 };
    return make(mm, from, readerFileName(reader), s.live?.mempolicy ?? null);
  };
}

export class MapsFile extends PidFile {
  constructor(sb: ProcSuperBlock, s: Subject) {
    super(sb, s, 0o444, () => '', { guarded: true, parts: mappings(mapsPart) });
  }

  override open(t: CallContext, path: Path, flags: number): FileDescription | number {
    const refused = this.mayOpen(t, flags);
    return refused < 0 ? refused : new MapsDescription(path, this, flags, t, this.subject);
  }
}

class MapsDescription extends KernfsFileDescription {
  private readonly about: Subject;

  constructor(path: Path, file: MapsFile, flags: number, t: CallContext, about: Subject) {
    super(path, file, flags, t.creds);
    this.about = about;
  }

  override ioctl(t: CallContext, cmd: number, arg: number): number {
    return cmd === PROCMAP_QUERY ? query(t as Task, this.about, arg) : -ENOTTY;
  }
}
