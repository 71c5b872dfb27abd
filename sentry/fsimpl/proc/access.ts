/** Who may look into a process (kernel/ptrace.c ptrace_may_access; proc(5), ptrace(2) "Ptrace access mode checking"). */
import { EACCES } from '../../abi/errno.ts';
import { CAP_SYS_PTRACE } from '../../auth/capability.ts';
import type { Task } from '../../kernel/task.ts';

/** PTRACE_MODE_*_FSCREDS: 0, or −EACCES. */
export function mayAccess(t: Task, target: Task): number {
  if (t.group === target.group) return 0;
  const c = t.creds;
  const o = target.creds;
  if (c.hasIn(CAP_SYS_PTRACE, o.userNs)) return 0;
  const sameIds =
    c.fsuid === o.euid &&
    c.fsuid === o.suid &&
    c.fsuid === o.uid &&
    c.fsgid === o.egid &&
    c.fsgid === o.sgid &&
    c.fsgid === o.gid;
  if (
    !sameIds ||
    target.mm.dumpable !== 1 ||
    !c.userNs.sameAs(o.userNs) ||
    !o.permitted.isSubsetOf(c.effective)
  )
    return -EACCES;
  return 0;
}
