/** Who may look into a process (kernel/ptrace.c ptrace_may_access; proc(5), ptrace(2) "Ptrace access mode checking"). */
import { EACCES } from '../../abi/errno.ts';
import { CAP_SYS_PTRACE, type CapSet } from '../../auth/capability.ts';
import type { Task } from '../../kernel/task.ts';

/** PTRACE_MODE_*_FSCREDS, what files ask: 0, or −EACCES. */
export function mayAccess(t: Task, target: Task): number {
  const { fsuid, fsgid, effective } = t.creds;
  return allows(t, target, fsuid, fsgid, effective) ? 0 : -EACCES;
}

/** PTRACE_MODE_*_REALCREDS, what system calls ask: by the real ids, whatever the process may do at the moment. */
export function mayTrace(t: Task, target: Task): boolean {
  const { uid, gid, permitted } = t.creds;
  return allows(t, target, uid, gid, permitted);
}

function allows(t: Task, target: Task, uid: number, gid: number, caps: CapSet): boolean {
  if (t.group === target.group) return true;
  // A task that Landlock restricts looks into its like only (hook_ptrace_access_check).
  if (t.landlock !== null && !t.landlock.contains(target.landlock)) return false;
  const c = t.creds;
  const o = target.creds;
  if (c.hasIn(CAP_SYS_PTRACE, o.userNs)) return true;
  const users = uid === o.euid && uid === o.suid && uid === o.uid;
  const groups = gid === o.egid && gid === o.sgid && gid === o.gid;
  // The last is cap_ptrace_access_check().
  return (
    users && groups && target.mm.dumpable === 1 && c.userNs.sameAs(o.userNs) && o.permitted.isSubsetOf(caps)
  );
}
