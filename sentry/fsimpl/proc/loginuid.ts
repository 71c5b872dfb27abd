/** /proc/PID/loginuid and sessionid: who logged in (kernel/audit.c). pam_loginuid writes it once per login. */
import { EINVAL, EPERM, ERANGE } from '../../abi/errno.ts';
import { CAP_AUDIT_CONTROL } from '../../auth/capability.ts';
import type { Task } from '../../kernel/task.ts';
import { parseInteger } from '../kernfs/parse.ts';
import type { SubjectStore } from './nodes.ts';

/** AUDIT_UID_UNSET and AUDIT_SID_UNSET as they are read and written. */
const UNSET = 2 ** 32 - 1;

let lastSession = 0;

/** from_kuid(): unset, too, for who has no name in the reader's user namespace. */
export function loginuidText(t: Task, reader: Task): string {
  const ns = reader.creds.userNs;
  const id = t.loginuid === -1 || ns.level === 0 ? t.loginuid : (ns.uidMap?.toInside(t.loginuid) ?? -1);
  return `${id === -1 ? UNSET : id}`;
}

export function sessionidText(t: Task): string {
  return `${t.sessionid === -1 ? UNSET : t.sessionid}`;
}

/** proc_loginuid_write() and audit_set_loginuid(): a task sets its own, and only once if it is not privileged. */
export const storeLoginuid: SubjectStore = (s, data, writer, from) => {
  if (s.task !== writer) return -EPERM;
  if (from.pos !== 0) return -EINVAL;
  const value = data.startsWith('-') ? NaN : parseInteger(data);
  if (Number.isNaN(value)) return -EINVAL;
  if (value > UNSET) return -ERANGE;
  const uid = value === UNSET ? -1 : from.opener.userNs.toUid(value);
  if (uid === -1 && value !== UNSET) return -EINVAL;
  if (writer.loginuid !== -1 && !writer.creds.has(CAP_AUDIT_CONTROL)) return -EPERM;
  writer.loginuid = uid;
  writer.sessionid = uid === -1 ? -1 : ++lastSession;
  return data.length;
};
