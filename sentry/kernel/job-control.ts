/**
 * Sessions and process groups, and what a terminal asks of them (drivers/tty/tty_jobctrl.c). The terminal itself is a
 * file system's affair: it implements ControllingTty.
 */
import { EIO, ERESTARTSYS } from '../abi/errno.ts';
import { SIGCONT, SIGHUP, SIGTTIN, SIGTTOU, SIG_IGN } from '../abi/signal.ts';
import type { Pid } from './pid-namespace.ts';
import { sigInfoKernel } from './sig-info.ts';
import { sendProcessGroupSignal } from './signal-send.ts';
import type { Task } from './task.ts';
import type { ThreadGroup } from './thread-group.ts';

/** What sessions know of a terminal. `session` and `foreground` are maintained by the functions below and TIOCSPGRP. */
export interface ControllingTty {
  session: Session | null;
  /** tcsetpgrp(3)'s process group, also when it is gone: all others are in the background then. */
  foreground: ProcessGroup | null;
  /** Device number as in /proc/PID/stat's tty_nr. */
  readonly rdev: number;
}

/** The number of the autogroup made last (kernel/sched/autogroup.c autogroup_seq_nr). */
let lastAutogroup = 0;

export class Session {
  readonly pid: Pid;
  /** Each session is an autogroup of the scheduler, with a nice value of its own - sched(7). The host schedules. */
  readonly autogroup = ++lastAutogroup;
  autogroupNice = 0;
  leader: ThreadGroup | null = null;
  tty: ControllingTty | null = null;
  readonly groups = new Set<ProcessGroup>();
  /** The sandbox is a job of a shell outside, which will continue it: a parent in the same session, so to speak. */
  hasShellOutside = false;
  /** Foreground group of a terminal that hung up. */
  oldForeground: ProcessGroup | null = null;

  constructor(pid: Pid) {
    this.pid = pid;
    pid.session = this;
  }

  get sid(): number {
    return this.pid.nr;
  }
}

export class ProcessGroup {
  readonly pid: Pid;
  readonly session: Session;
  readonly members = new Set<ThreadGroup>();

  constructor(pid: Pid, session: Session) {
    this.pid = pid;
    this.session = session;
    pid.processGroup = this;
    session.groups.add(this);
  }

  get pgid(): number {
    return this.pid.nr;
  }

  add(g: ThreadGroup): void {
    this.members.add(g);
  }

  /** Removes a member; the last one ends the group, the last group the session. */
  remove(g: ThreadGroup): void {
    if (!this.members.delete(g) || this.members.size > 0) return;
    this.pid.processGroup = null;
    const s = this.session;
    s.groups.delete(this);
    if (s.groups.size === 0) {
      if (s.tty !== null && s.tty.session === s) {
        s.tty.session = null;
        s.tty.foreground = null;
      }
      s.tty = null;
      s.pid.session = null;
      s.pid.releaseIfUnused();
    }
    this.pid.releaseIfUnused();
  }

  /**
   * will_become_orphaned_pgrp(): no member has a parent in another group of the same session. `ignored` is a process
   * counted as gone already.
   */
  isOrphaned(ignored: ThreadGroup | null = null): boolean {
    for (const m of this.members) {
      if (m === ignored || m.isZombie) continue;
      if (m.parent === null) {
        if (this.session.hasShellOutside) return false;
        continue;
      }
      if (m.parent.processGroup !== this && m.parent.processGroup.session === this.session) return false;
    }
    return true;
  }

  hasStopped(): boolean {
    for (const m of this.members) if (m.stopped) return true;
    return false;
  }
}

/** Newly orphaned groups with stopped members get SIGHUP and SIGCONT (kernel/exit.c kill_orphaned_pgrp). */
export function killOrphanedProcessGroup(g: ThreadGroup, parent: ThreadGroup | null, exiting: boolean): void {
  const pgrp = g.processGroup;
  if (parent === null || parent.processGroup === pgrp || parent.processGroup.session !== pgrp.session) return;
  if (pgrp.isOrphaned(exiting ? g : null) && pgrp.hasStopped()) {
    sendProcessGroupSignal(pgrp, sigInfoKernel(SIGHUP));
    sendProcessGroupSignal(pgrp, sigInfoKernel(SIGCONT));
  }
}

/** The session leader exits or gives the terminal up: the foreground group gets SIGHUP (and SIGCONT), the session loses its tty. */
export function disassociateTty(session: Session, exiting: boolean): void {
  const tty = session.tty;
  if (tty === null) {
    // The terminal hung up before: what was in its foreground hears of it now (signal_struct tty_old_pgrp).
    const old = session.oldForeground;
    session.oldForeground = null;
    if (exiting && old !== null) {
      sendProcessGroupSignal(old, sigInfoKernel(SIGHUP));
      sendProcessGroupSignal(old, sigInfoKernel(SIGCONT));
    }
    return;
  }
  const foreground = tty.foreground;
  tty.session = null;
  tty.foreground = null;
  session.tty = null;
  if (foreground !== null) {
    sendProcessGroupSignal(foreground, sigInfoKernel(SIGHUP));
    if (!exiting) sendProcessGroupSignal(foreground, sigInfoKernel(SIGCONT));
  }
}

/** Makes `tty` the controlling terminal of `t`'s session (TIOCSCTTY, open without O_NOCTTY). The caller has checked the rules. */
export function setControllingTty(t: Task, tty: ControllingTty): void {
  const session = t.group.session;
  if (tty.session !== null && tty.session !== session) tty.session.tty = null;
  tty.session = session;
  tty.foreground = t.group.processGroup;
  session.tty = tty;
  session.oldForeground = null;
}

/**
 * A background process touches its terminal (__tty_check_change): 0 to go on, −EIO, or −ERESTARTSYS after SIGTTIN or SIGTTOU has
 * been sent to the whole group. For writes ask only when TOSTOP is set.
 */
export function jobControlCheck(t: Task, tty: ControllingTty, sig: typeof SIGTTIN | typeof SIGTTOU): number {
  const pgrp = t.group.processGroup;
  if (pgrp.session.tty !== tty || tty.foreground === null || tty.foreground === pgrp) return 0;
  if (t.sigMask.has(sig) || t.group.handlers.handler[sig] === SIG_IGN) return sig === SIGTTIN ? -EIO : 0;
  if (pgrp.isOrphaned()) return -EIO;
  sendProcessGroupSignal(pgrp, sigInfoKernel(sig));
  return -ERESTARTSYS;
}
