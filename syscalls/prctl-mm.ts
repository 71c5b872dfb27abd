/** prctl(2): options about an address space: PR_SET_MM, PR_GET_AUXV, PR_SET_MDWE, PR_SET_THP_DISABLE and their kin (kernel/sys.c). */
import { EACCES, EBADF, EBUSY, EFAULT, EINVAL, EPERM } from '../sentry/abi/errno.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { CAP_CHECKPOINT_RESTORE, CAP_SYS_ADMIN, CAP_SYS_RESOURCE } from '../sentry/auth/capability.ts';
import type { SysResult } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { TASK_SIZE } from '../sentry/lib/addr.ts';
import type { ImageLayout } from '../sentry/mm/image-layout.ts';
import { PR_MDWE_NO_INHERIT, PR_MDWE_REFUSE_EXEC_GAIN } from '../sentry/mm/vma.ts';
import { MAY_EXEC, inodePermission } from '../sentry/vfs/permission.ts';

const PR_SET_MM_START_BRK = 6;
const PR_SET_MM_BRK = 7;
const PR_SET_MM_START_STACK = 5;
const PR_SET_MM_ARG_START = 8;
const PR_SET_MM_ENV_END = 11;
const PR_SET_MM_AUXV = 12;
const PR_SET_MM_EXE_FILE = 13;
const PR_SET_MM_MAP = 14;
const PR_SET_MM_MAP_SIZE = 15;
/** sizeof(struct prctl_mm_map) */
const MAP_SIZE = 104;
const MMAP_MIN_ADDR = 0x10000;
/** sizeof(mm_struct.saved_auxv) */
const SAVED_AUXV = 448;
const PR_THP_DISABLE_EXCEPT_ADVISED = 2;

type Place = Exclude<keyof ImageLayout, 'auxv'> | 'brk';

/** Members of struct prctl_mm_map in their order. */
const MAP_PLACES: readonly Place[] = [
  'startCode',
  'endCode',
  'startData',
  'endData',
  'startBrk',
  'brk',
  'startStack',
  'argStart',
  'argEnd',
  'envStart',
  'envEnd',
];
/** Options from PR_SET_MM_START_CODE on. */
const OPTION_PLACES: readonly Place[] = [
  'startCode',
  'endCode',
  'startData',
  'endData',
  'startStack',
  'startBrk',
  'brk',
  'argStart',
  'argEnd',
  'envStart',
  'envEnd',
];

type Places = Record<Place, number>;

function placesOf(t: Task): Places {
  const { auxv: _, ...rest } = t.mm.layout;
  return { ...rest, brk: t.mm.brk };
}

/** validate_prctl_map_addr() */
function valid(p: Places): boolean {
  for (const place of MAP_PLACES) if (!(p[place] >= MMAP_MIN_ADDR && p[place] < TASK_SIZE)) return false;
  return (
    p.startCode < p.endCode &&
    p.startData <= p.endData &&
    p.startBrk <= p.brk &&
    p.argStart <= p.argEnd &&
    p.envStart <= p.envEnd
  );
}

/** The heap stays where the host has it. */
function movesHeap(t: Task, p: Places): boolean {
  return p.startBrk !== t.mm.layout.startBrk || p.brk !== t.mm.brk;
}

function setPlaces(t: Task, p: Places): void {
  const { brk: _, ...layout } = p;
  t.mm.layout = { ...layout, auxv: t.mm.layout.auxv };
}

/** The auxiliary vector of `len` bytes at `addr`, ended by AT_NULL; −errno. */
function readAuxv(t: Task, addr: number, len: number): Uint8Array | number {
  if (addr === 0 || len > SAVED_AUXV) return -EINVAL;
  const auxv = new Uint8Array(SAVED_AUXV);
  if (t.mem.copyIn(addr, auxv, 0, len) !== 0) return -EFAULT;
  auxv.fill(0, SAVED_AUXV - 16);
  return auxv;
}

/** prctl_set_mm_exe_file(): not while anything of the old one is mapped. */
function setExeFile(t: Task, fd: number): SysResult {
  const f = t.fdTable.get(fd);
  if (f === null) return -EBADF;
  const { inode } = f;
  if (!inode.isRegular || inode.sb.noExec || inodePermission(t, inode, MAY_EXEC) !== 0) return -EACCES;
  const { mm } = t;
  for (let i = 0; i < mm.table.size; i++)
    if (mm.table.at(i)!.backing?.file?.inode === mm.exeFile?.inode) return -EBUSY;
  mm.setExeFile(f);
  return 0;
}

function setMap(t: Task, addr: number, size: number): SysResult {
  if (size !== MAP_SIZE) return -EINVAL;
  const map = Buffer.alloc(MAP_SIZE);
  if (t.mem.copyIn(addr, map, 0, MAP_SIZE) !== 0) return -EFAULT;
  const word = (i: number): number => map.readUInt32LE(8 * i + 4) * 0x100000000 + map.readUInt32LE(8 * i);
  const p = placesOf(t);
  MAP_PLACES.forEach((place, i) => (p[place] = word(i)));
  if (!valid(p) || movesHeap(t, p)) return -EINVAL;
  const auxvSize = map.readUInt32LE(96);
  const exeFd = map.readInt32LE(100);
  const auxv = auxvSize === 0 ? t.mm.layout.auxv : readAuxv(t, word(11), auxvSize);
  if (typeof auxv === 'number') return auxv;
  if (exeFd !== -1) {
    if (!t.creds.hasOwn(CAP_CHECKPOINT_RESTORE) && !t.creds.hasOwn(CAP_SYS_ADMIN)) return -EPERM;
    const r = setExeFile(t, exeFd);
    if (r !== 0) return r;
  }
  setPlaces(t, p);
  t.mm.layout.auxv = auxv;
  return 0;
}

/** PR_SET_MM (prctl_set_mm) */
export function setMm(t: Task, a: SyscallArgs): SysResult {
  const option = a.addr(1);
  const addr = a.addr(2);
  const extra = option === PR_SET_MM_AUXV || option === PR_SET_MM_MAP || option === PR_SET_MM_MAP_SIZE;
  if (a.addr(4) !== 0 || (a.addr(3) !== 0 && !extra)) return -EINVAL;
  if (option === PR_SET_MM_MAP_SIZE) return t.mem.writeU32(addr, MAP_SIZE);
  if (option === PR_SET_MM_MAP) return setMap(t, addr, a.uint(3));
  if (!t.creds.has(CAP_SYS_RESOURCE)) return -EPERM;
  if (option === PR_SET_MM_EXE_FILE) return setExeFile(t, a.int(2));
  if (option === PR_SET_MM_AUXV) {
    const auxv = readAuxv(t, addr, a.addr(3));
    if (typeof auxv === 'number') return auxv;
    t.mm.layout.auxv = auxv;
    return 0;
  }
  if (option < 1 || option > OPTION_PLACES.length) return -EINVAL;
  const p = placesOf(t);
  p[OPTION_PLACES[option - 1]!] = addr;
  if (!valid(p) || ((option === PR_SET_MM_START_BRK || option === PR_SET_MM_BRK) && movesHeap(t, p)))
    return -EINVAL;
  const onStack =
    option === PR_SET_MM_START_STACK || (option >= PR_SET_MM_ARG_START && option <= PR_SET_MM_ENV_END);
  if (onStack && t.mm.table.at(t.mm.table.indexAt(addr)) === undefined) return -EFAULT;
  setPlaces(t, p);
  return 0;
}

/** PR_GET_AUXV: as much as fits; the size of the whole. */
export function getAuxv(t: Task, a: SyscallArgs): SysResult {
  if (a.addr(3) !== 0 || a.addr(4) !== 0) return -EINVAL;
  const saved = new Uint8Array(SAVED_AUXV);
  saved.set(t.mm.layout.auxv.subarray(0, SAVED_AUXV));
  const r = t.mem.copyOut(a.addr(1), saved, 0, Math.min(SAVED_AUXV, a.addr(2)));
  return r < 0 ? -EFAULT : SAVED_AUXV;
}

/** PR_SET_MDWE: what was promised once cannot be taken back. */
export function setMdwe(t: Task, a: SyscallArgs): SysResult {
  const bits = a.addr(1);
  if (a.addr(2) !== 0 || a.addr(3) !== 0 || a.addr(4) !== 0) return -EINVAL;
  if (
    bits !== 0 &&
    bits !== PR_MDWE_REFUSE_EXEC_GAIN &&
    bits !== (PR_MDWE_REFUSE_EXEC_GAIN | PR_MDWE_NO_INHERIT)
  )
    return -EINVAL;
  if (t.mm.mdwe !== 0 && t.mm.mdwe !== bits) return -EPERM;
  t.mm.mdwe = bits;
  return 0;
}

/** PR_SET_THP_DISABLE: remembered, the host decides about huge pages. */
export function setThpDisable(t: Task, a: SyscallArgs): SysResult {
  const on = a.addr(1) !== 0;
  const how = a.addr(2);
  if (a.addr(3) !== 0 || a.addr(4) !== 0 || (how !== 0 && (!on || how !== PR_THP_DISABLE_EXCEPT_ADVISED)))
    return -EINVAL;
  t.mm.thpDisabled = on ? 1 | how : 0;
  return 0;
}
