/** Signal-driven I/O: O_ASYNC, F_SETOWN, F_SETSIG (fs/fcntl.c send_sigio, fcntl(2)). */
import { EINVAL, ESRCH } from '../sentry/abi/errno.ts';
import { FASYNC } from '../sentry/abi/fcntl.ts';
import { SIGIO, SIGURG } from '../sentry/abi/signal.ts';
import { CAP_KILL } from '../sentry/auth/capability.ts';
import type { Credentials } from '../sentry/auth/credentials.ts';
import type { PidNamespace } from '../sentry/kernel/pid-namespace.ts';
import { sigInfoKernel, sigInfoPoll, type SigInfo } from '../sentry/kernel/sig-info.ts';
import { sendGroupSignal, sendTaskSignal } from '../sentry/kernel/signal-send.ts';
import type { Task } from '../sentry/kernel/task.ts';
import type { ThreadGroup } from '../sentry/kernel/thread-group.ts';
import { PipeFile } from '../sentry/fsimpl/pipefs/pipe-file.ts';
import { Socket } from '../sentry/socket/socket.ts';
import type { FileDescription } from '../sentry/vfs/file-description.ts';
import * as W from '../sentry/waiter/wait-queue.ts';

export const F_OWNER_TID = 0;
export const F_OWNER_PID = 1;
export const F_OWNER_PGRP = 2;

// si_code and si_band of SIGIO (include/uapi/asm-generic/siginfo.h).
const POLL_IN = 1;
const POLL_OUT = 2;
const POLL_MSG = 3;
const POLL_PRI = 5;
const POLL_HUP = 6;
const BAND_IN = W.EPOLLIN | W.EPOLLRDNORM;
const BAND_MSG = W.EPOLLIN | W.EPOLLRDNORM | W.EPOLLMSG;
const BAND_PRI = W.EPOLLPRI | W.EPOLLRDBAND;
const BAND_HUP = W.EPOLLHUP | W.EPOLLERR;
const BAND_OUT = W.EPOLLOUT | W.EPOLLWRNORM | W.EPOLLWRBAND;

/** f_owner: whom signals for a file are for. */
class FileOwner {
  type = F_OWNER_TID;
  pid = 0;
  signo = 0;
  /** Where `pid` counts, and whose permission to signal is used: those of the F_SETOWN call. */
  ns: PidNamespace | null = null;
  creds: Credentials | null = null;
  /** Registration while O_ASYNC is set, and the descriptor it was set by (si_fd). */
  entry: W.WaitEntry | null = null;
  fd = -1;
  /** Of sockets, which tell their owner of urgent data, O_ASYNC or not (sk_send_sigurg). */
  urgent: W.WaitEntry | null = null;
}

export function ownerOf(f: FileDescription): FileOwner {
  return (f.owner ??= new FileOwner()) as FileOwner;
}

export function setOwner(t: Task, f: FileDescription, type: number, pid: number): void {
  const o = ownerOf(f);
  o.type = type;
  o.pid = pid;
  o.ns = t.pidNs;
  o.creds = t.creds;
  if (o.urgent !== null || !(f instanceof Socket)) return;
  o.urgent = new W.WaitEntry((events) => {
    if ((events & W.EPOLLPRI) !== 0 && o.pid !== 0) send(o, () => sigInfoKernel(SIGURG));
  });
  f.waiters.add(o.urgent, W.EPOLLPRI);
  // Files of the host are watched from their first poll on.
  f.poll();
}

/** f_setown(): 0 takes the owner away, who is to be one has to be there. */
export function changeOwner(t: Task, f: FileDescription, type: number, nr: number): number {
  if (nr !== 0 && t.pidNs.find(nr) === null) return -ESRCH;
  setOwner(t, f, type, nr);
  return 0;
}

/** The same by one number, that of a process, or a negative one for a group. */
export function changeOwnerTo(t: Task, f: FileDescription, who: number): number {
  if (who === -0x80000000) return -EINVAL;
  return changeOwner(t, f, who < 0 ? F_OWNER_PGRP : F_OWNER_PID, Math.abs(who));
}

/** f_getown() */
export function ownerNumber(f: FileDescription): number {
  const o = ownerOf(f);
  return o.type === F_OWNER_PGRP ? -o.pid : o.pid;
}

/** O_ASYNC is switched. Files without events to tell of ignore it. */
export function setAsync(f: FileDescription, fd: number, on: boolean): void {
  if (!f.fasync) return;
  const had = (f.flags & FASYNC) !== 0;
  if (on) f.flags |= FASYNC;
  else f.flags &= ~FASYNC;
  if (had === on) return;
  const o = ownerOf(f);
  if (!on) {
    o.entry?.remove();
    o.entry = null;
    return;
  }
  o.fd = fd;
  o.entry = new W.WaitEntry((events) => tell(f, o, events));
  f.waiters.add(o.entry, W.EPOLLIN | W.EPOLLOUT | W.EPOLLRDHUP | W.EPOLLPRI | W.WAKE_ASYNC_OUT);
  if (f instanceof PipeFile) f.ends.signals = true;
  f.poll();
}

function tell(f: FileDescription, o: FileOwner, events: number): void {
  if (o.pid === 0 || o.ns === null) return;
  const socket = f instanceof Socket;
  if (socket && (events & W.EPOLLPRI) !== 0) sendEvent(o, POLL_PRI, BAND_PRI);
  if (socket && (events & W.EPOLLHUP) !== 0) {
    sendEvent(o, POLL_HUP, BAND_HUP);
    return;
  }
  const pipe = f instanceof PipeFile;
  // The end of a terminal is told by SIGHUP only.
  if (!pipe && (events & W.EPOLLHUP) !== 0) return;
  const readable = (events & (W.EPOLLIN | W.EPOLLHUP | W.EPOLLRDHUP)) !== 0 && f.readable;
  // Others report room only after they had none; which of their events that is they do not say.
  const writable = pipe && (events & (W.EPOLLOUT | W.WAKE_ASYNC_OUT)) !== 0 && f.writable;
  if (readable) sendEvent(o, POLL_IN, BAND_IN);
  else if (writable) sendEvent(o, POLL_OUT, BAND_OUT);
}

function sendEvent(o: FileOwner, code: number, band: number): void {
  send(o, () => (o.signo === 0 ? sigInfoKernel(SIGIO) : sigInfoPoll(o.signo, code, band, o.fd)));
}

/** POLL_MSG by SIGIO or the F_SETSIG signal: a lease is to be broken, something happened in a watched directory. */
export function tellMessage(f: FileDescription, fd: number): void {
  const o = ownerOf(f);
  if (o.pid === 0 || o.ns === null) return;
  send(o, () => (o.signo === 0 ? sigInfoKernel(SIGIO) : sigInfoPoll(o.signo, POLL_MSG, BAND_MSG, fd)));
}

function send(o: FileOwner, make: () => SigInfo): void {
  const ns = o.ns!;
  if (o.type === F_OWNER_PGRP) {
    for (const g of [...(ns.findProcessGroup(o.pid)?.members ?? [])]) {
      if (permitted(o, g)) sendGroupSignal(g, make());
    }
    return;
  }
  const task = ns.findTask(o.pid);
  if (o.type === F_OWNER_TID) {
    if (task !== null && permitted(o, task.group)) sendTaskSignal(task, make());
    return;
  }
  const group = ns.findGroup(o.pid);
  if (group !== null && permitted(o, group)) sendGroupSignal(group, make());
}

/** sigio_perm() */
function permitted(o: FileOwner, g: ThreadGroup): boolean {
  const c = o.creds!;
  const to = g.leader.creds;
  return (
    c.euid === 0 ||
    c.has(CAP_KILL) ||
    c.euid === to.suid ||
    c.euid === to.uid ||
    c.uid === to.suid ||
    c.uid === to.uid
  );
}
