/**
 * Time namespaces (kernel/time/namespace.c, time_namespaces(7)): CLOCK_MONOTONIC and CLOCK_BOOTTIME with offsets. The
 * kernel's own times (deadlines, starts of processes) are the sandbox's clocks; what callers say and hear is translated.
 */
import { EACCES, ERANGE } from '../abi/errno.ts';
import type { Owned, UserNamespace } from '../auth/credentials.ts';
import { clockSec } from '../host/sys.ffi.ts';
import {
  CLOCK_BOOTTIME,
  CLOCK_MONOTONIC,
  CLOCK_MONOTONIC_COARSE,
  CLOCK_MONOTONIC_RAW,
} from '../time/clock.ts';
import { nextNamespaceIno } from './namespaces.ts';

const NS = 1e9;
/** KTIME_MAX / NSEC_PER_SEC. */
const KTIME_SEC_MAX = 9_223_372_036;

/** A normalised span of time: nsec is 0 to 999,999,999. */
export interface TimeOffset {
  readonly sec: number;
  readonly nsec: number;
}

export interface TimeOffsets {
  readonly monotonic: TimeOffset;
  readonly boottime: TimeOffset;
}

export type OffsetClock = keyof TimeOffsets;

const NONE: TimeOffset = { sec: 0, nsec: 0 };

function minus(a: TimeOffset, b: TimeOffset): TimeOffset {
  const nsec = a.nsec - b.nsec;
  return nsec < 0 ? { sec: a.sec - b.sec - 1, nsec: nsec + NS } : { sec: a.sec - b.sec, nsec };
}

const toNs = (o: TimeOffset): number => o.sec * NS + o.nsec;

export class TimeNamespace implements Owned {
  readonly ino = nextNamespaceIno();
  owner: UserNamespace | null = null;
  /** As /proc/PID/timens_offsets tells them. */
  private told: TimeOffsets;
  /** The sandbox's own namespace: its clocks are the host's as they are, whatever the host has told of them. */
  private readonly first: TimeNamespace;
  /** Somebody has been inside (frozen_offsets). */
  private frozen = false;

  constructor(offsets: Partial<TimeOffsets> = {}, first: TimeNamespace | null = null) {
    this.told = { monotonic: NONE, boottime: NONE, ...offsets };
    this.first = first ?? this;
    if (first === null) this.frozen = true;
  }

  /** clone_time_ns() */
  copy(): TimeNamespace {
    return new TimeNamespace(this.told, this.first);
  }

  get offsets(): TimeOffsets {
    return this.told;
  }

  /** A process comes in: the offsets stay as they are from now on. */
  enter(): this {
    this.frozen = true;
    return this;
  }

  /** Whether the clocks differ from the sandbox's. */
  get shifted(): boolean {
    const own = this.told;
    const { told } = this.first;
    if (own === told) return false;
    const same = (a: TimeOffset, b: TimeOffset): boolean => a.sec === b.sec && a.nsec === b.nsec;
    return !same(own.monotonic, told.monotonic) || !same(own.boottime, told.boottime);
  }

  /** How far clock `id` is ahead of the sandbox's. */
  shiftOf(id: number): TimeOffset {
    switch (id) {
      case CLOCK_MONOTONIC:
      case CLOCK_MONOTONIC_RAW:
      case CLOCK_MONOTONIC_COARSE:
        return minus(this.told.monotonic, this.first.told.monotonic);
      case CLOCK_BOOTTIME:
        return minus(this.told.boottime, this.first.told.boottime);
      default:
        return NONE;
    }
  }

  /** The same in ns, not exact beyond 2^53. */
  shiftNs(id: number): number {
    return this.told === this.first.told ? 0 : toNs(this.shiftOf(id));
  }

  /** proc_timens_set_offset(): 0, −ERANGE for what the clocks do not reach, −EACCES once a process is inside. */
  setOffsets(changes: readonly (readonly [OffsetClock, TimeOffset])[]): number {
    for (const [clock, { sec, nsec }] of changes) {
      if (Math.abs(sec) > KTIME_SEC_MAX) return -ERANGE;
      const now = clockSec(clock === 'monotonic' ? CLOCK_MONOTONIC : CLOCK_BOOTTIME);
      const then = now + minus({ sec, nsec }, this.first.told[clock]).sec;
      if (then < 0 || then > KTIME_SEC_MAX / 2) return -ERANGE;
    }
    if (this.frozen) return -EACCES;
    for (const [clock, offset] of changes) this.told = { ...this.told, [clock]: offset };
    return 0;
  }
}
