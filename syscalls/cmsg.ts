/** Control messages: SCM_RIGHTS, SCM_CREDENTIALS and times between guest memory and the kernel (net/core/scm.c). */
import { EBADF, EINVAL, EPERM, ESRCH, ETOOMANYREFS } from '../sentry/abi/errno.ts';
import {
  AF_NETLINK,
  AF_UNIX,
  MSG_CMSG_CLOEXEC,
  MSG_CTRUNC,
  SCM_CREDENTIALS,
  SCM_MAX_FD,
  SCM_PIDFD,
  SCM_RIGHTS,
  SO_TIMESTAMP,
  SO_TIMESTAMP_NEW,
  SOL_SOCKET,
} from '../sentry/abi/socket.ts';
import { CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN, CAP_SYS_RESOURCE } from '../sentry/auth/capability.ts';
import { installPidfd } from '../sentry/fsimpl/anon/pidfd.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { pidSeenBy, type RecvInfo, type SendInfo, type Socket } from '../sentry/socket/socket.ts';
import { inFlightOf, inFlightTotal } from '../sentry/socket/unix/in-flight.ts';
import type { Timestamp } from '../sentry/vfs/inode.ts';
import type { FileDescription } from '../sentry/vfs/file-description.ts';
import { openFileLimit } from './fd-install.ts';

export const CMSG_HDR = 16;

function cmsgAlign(n: number): number {
  return Math.ceil(n / 8) * 8;
}

/** Reads the control messages in `ctl` into `info`: 0, or −errno with nothing held. */
export function parseControl(t: Task, s: Socket, ctl: Buffer, info: SendInfo): number {
  if (s.domain !== AF_UNIX && s.domain !== AF_NETLINK) {
    info.control = ctl;
    return 0;
  }
  let at = 0;
  while (at + CMSG_HDR <= ctl.length) {
    const len = ctl.readUInt32LE(at + 4) === 0 ? ctl.readUInt32LE(at) : Infinity;
    if (len < CMSG_HDR || at + len > ctl.length) return fail(info, -EINVAL);
    const body = ctl.subarray(at + CMSG_HDR, at + len);
    if (ctl.readInt32LE(at + 8) === SOL_SOCKET) {
      const type = ctl.readInt32LE(at + 12);
      const r =
        type === SCM_RIGHTS && s.domain === AF_UNIX
          ? takeFds(t, body, info)
          : type === SCM_CREDENTIALS
            ? takeCreds(t, body, info)
            : -EINVAL;
      if (r < 0) return fail(info, r);
    }
    at += cmsgAlign(len);
  }
  return 0;
}

function fail(info: SendInfo, errno: number): number {
  dropSent(info);
  return errno;
}

/** Gives back references that no message took over. */
export function dropSent(info: SendInfo): void {
  if (info.fds === null) return;
  for (const f of info.fds) f.unref();
  info.fds = null;
}

/** (uid_t)−1, which is nobody's. */
const INVALID_ID = 0xffffffff;
/** In the whole sandbox. */
const IN_FLIGHT_MAX = 1024 * 1024;

/** too_many_unix_fds() */
function tooManyInFlight(t: Task): boolean {
  if (inFlightTotal() > IN_FLIGHT_MAX) return true;
  if (inFlightOf(t.creds.uid) <= openFileLimit(t)) return false;
  return !t.creds.has(CAP_SYS_RESOURCE) && !t.creds.has(CAP_SYS_ADMIN);
}

function takeFds(t: Task, body: Buffer, info: SendInfo): number {
  const n = Math.floor(body.length / 4);
  if (n === 0) return 0;
  const fds = info.fds ?? [];
  if (fds.length + n > SCM_MAX_FD) return -EINVAL;
  info.fds = fds;
  for (let i = 0; i < n; i++) {
    const f: FileDescription | null = t.fdTable.getRaw(body.readInt32LE(4 * i));
    if (f === null) return -EBADF;
    fds.push(f.ref());
  }
  return tooManyInFlight(t) ? -ETOOMANYREFS : 0;
}

/** scm_check_creds(): one's own ids, or privilege; of a process that is there. */
function takeCreds(t: Task, body: Buffer, info: SendInfo): number {
  if (body.length !== 12) return -EINVAL;
  const pid = body.readInt32LE(0);
  const c = t.creds;
  const uid = c.userNs.toUid(body.readUInt32LE(4));
  const gid = c.userNs.toGid(body.readUInt32LE(8));
  if (uid < 0 || gid < 0 || uid === INVALID_ID || gid === INVALID_ID) return -EINVAL;
  const pidOk = pid === t.tgid || c.hasIn(CAP_SYS_ADMIN, t.pidNs.owner);
  const uidOk = [c.uid, c.euid, c.suid].includes(uid) || c.hasOwn(CAP_SETUID);
  const gidOk = [c.gid, c.egid, c.sgid].includes(gid) || c.hasOwn(CAP_SETGID);
  if (!pidOk || !uidOk || !gidOk) return -EPERM;
  const process = t.pidNs.find(pid);
  if (process === null) return -ESRCH;
  info.creds = { pid, uid, gid, process };
  return 0;
}

/** Control data to give to the guest, at most `room` bytes. Installs received descriptors. */
export function buildControl(t: Task, info: RecvInfo, room: number, flags: number, out: Buffer): number {
  let at = 0;
  if (info.control !== null) {
    at = Math.min(room, info.control.length);
    out.set(info.control.subarray(0, at));
  }
  if (info.stamp !== null) at = putStamp(info, info.stamp, room, out);
  if (info.creds !== null) {
    const left = room - at;
    if (left < CMSG_HDR + 12) info.msgFlags |= MSG_CTRUNC;
    if (left >= CMSG_HDR) {
      const len = Math.min(left, CMSG_HDR + 12);
      header(out, at, len, SCM_CREDENTIALS);
      out.writeInt32LE(pidSeenBy(t, info.creds), at + 16);
      out.writeUInt32LE(t.creds.userNs.fromUid(info.creds.uid), at + 20);
      out.writeUInt32LE(t.creds.userNs.fromGid(info.creds.gid), at + 24);
      at = Math.min(room, at + cmsgAlign(len));
    }
  }
  if (info.fds !== null) at = putFds(t, info, info.fds, at, room, flags, out);
  if (info.sender !== null) at = putPidfd(t, info, at, room, out);
  return at;
}

function header(out: Buffer, at: number, len: number, type: number): void {
  out.fill(0, at, at + cmsgAlign(Math.max(len, 32)));
  out.writeUInt32LE(len, at);
  out.writeInt32LE(SOL_SOCKET, at + 8);
  out.writeInt32LE(type, at + 12);
}

/** __sock_recv_timestamp(): a timeval or a timespec. */
function putStamp(info: RecvInfo, stamp: Timestamp, room: number, out: Buffer): number {
  if (room < CMSG_HDR + 16) info.msgFlags |= MSG_CTRUNC;
  if (room < CMSG_HDR) return 0;
  const micro = info.stampName === SO_TIMESTAMP || info.stampName === SO_TIMESTAMP_NEW;
  const len = Math.min(room, CMSG_HDR + 16);
  header(out, 0, len, info.stampName);
  out.writeUInt32LE(stamp.sec >>> 0, CMSG_HDR);
  out.writeInt32LE(Math.floor(stamp.sec / 0x100000000), CMSG_HDR + 4);
  out.writeUInt32LE(micro ? Math.floor(stamp.nsec / 1000) : stamp.nsec, CMSG_HDR + 8);
  return Math.min(room, cmsgAlign(len));
}

/** scm_pidfd_recv() */
function putPidfd(t: Task, info: RecvInfo, at: number, room: number, out: Buffer): number {
  const process = info.sender?.process;
  if (room - at < CMSG_HDR + 4) {
    info.msgFlags |= MSG_CTRUNC;
    return at;
  }
  header(out, at, CMSG_HDR + 4, SCM_PIDFD);
  out.writeInt32LE(process === undefined ? -ESRCH : installPidfd(t, process), at + CMSG_HDR);
  return Math.min(room, at + cmsgAlign(CMSG_HDR + 4));
}

/** scm_detach_fds() */
function putFds(
  t: Task,
  info: RecvInfo,
  fds: FileDescription[],
  at: number,
  room: number,
  flags: number,
  out: Buffer,
): number {
  const fit = room - at < CMSG_HDR ? 0 : Math.floor((room - at - CMSG_HDR) / 4);
  let n = 0;
  out.fill(0, at, Math.min(out.length, at + CMSG_HDR + 4 * fds.length + 8));
  while (n < fds.length && n < fit) {
    const fd = t.fdTable.install(fds[n]!, (flags & MSG_CMSG_CLOEXEC) !== 0, openFileLimit(t));
    if (fd < 0) break;
    out.writeInt32LE(fd, at + CMSG_HDR + 4 * n);
    n++;
  }
  if (n < fds.length) info.msgFlags |= MSG_CTRUNC;
  for (let i = n; i < fds.length; i++) fds[i]!.unref();
  info.fds = null;
  if (n === 0) return at;
  const len = CMSG_HDR + 4 * n;
  out.writeUInt32LE(len, at);
  out.writeInt32LE(SOL_SOCKET, at + 8);
  out.writeInt32LE(SCM_RIGHTS, at + 12);
  return Math.min(room, at + cmsgAlign(len));
}
