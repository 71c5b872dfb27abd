/** /proc/sysvipc (ipc/util.c sysvipc_proc_fops; proc(5)). The System V IPC implementation supplies the lines. */
import type { IpcLimits } from '../../kernel/ipc/ipc-limits.ts';
import type { Task } from '../../kernel/task.ts';
import type { StaticDir } from '../kernfs/dir.ts';
import { ProcFile } from './nodes.ts';
import type { ProcSuperBlock } from './super-block.ts';

type Lines = (t: Task) => string;

interface Sysvipc {
  /** Lines below the headings, for the reader's IPC namespace. */
  msg: Lines | null;
  sem: Lines | null;
  shm: Lines | null;
  /** What kernel.msgmni and the like show and change. */
  limits: ((t: Task) => IpcLimits) | null;
}

export const sysvipcTables: Sysvipc = {
  limits: null,
  msg: null,
  sem: null,
  shm: null,
};

const MSG =
  '       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      stime      rtime      ctime\n';
const SEM = '       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n';
const SHM =
  '       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      dtime      ctime                   rss                  swap\n';

export function addSysvipc(sb: ProcSuperBlock, dir: StaticDir): StaticDir {
  dir.add('msg', new ProcFile(sb, 0o444, (t) => MSG + (sysvipcTables.msg?.(t as Task) ?? '')));
  dir.add('sem', new ProcFile(sb, 0o444, (t) => SEM + (sysvipcTables.sem?.(t as Task) ?? '')));
  dir.add('shm', new ProcFile(sb, 0o444, (t) => SHM + (sysvipcTables.shm?.(t as Task) ?? '')));
  return dir;
}
