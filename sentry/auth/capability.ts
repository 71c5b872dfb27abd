/** Capabilities (include/uapi/linux/capability.h) and sets of them as uint32 pairs. */
export const CAP_CHOWN = 0;
export const CAP_DAC_OVERRIDE = 1;
export const CAP_DAC_READ_SEARCH = 2;
export const CAP_FOWNER = 3;
export const CAP_FSETID = 4;
export const CAP_KILL = 5;
export const CAP_SETGID = 6;
export const CAP_SETUID = 7;
export const CAP_SETPCAP = 8;
export const CAP_LINUX_IMMUTABLE = 9;
export const CAP_NET_BIND_SERVICE = 10;
export const CAP_NET_BROADCAST = 11;
export const CAP_NET_ADMIN = 12;
export const CAP_NET_RAW = 13;
export const CAP_IPC_LOCK = 14;
export const CAP_IPC_OWNER = 15;
export const CAP_SYS_MODULE = 16;
export const CAP_SYS_RAWIO = 17;
export const CAP_SYS_CHROOT = 18;
export const CAP_SYS_PTRACE = 19;
export const CAP_SYS_PACCT = 20;
export const CAP_SYS_ADMIN = 21;
export const CAP_SYS_BOOT = 22;
export const CAP_SYS_NICE = 23;
export const CAP_SYS_RESOURCE = 24;
export const CAP_SYS_TIME = 25;
export const CAP_SYS_TTY_CONFIG = 26;
export const CAP_MKNOD = 27;
export const CAP_LEASE = 28;
export const CAP_AUDIT_WRITE = 29;
export const CAP_AUDIT_CONTROL = 30;
export const CAP_SETFCAP = 31;
export const CAP_MAC_OVERRIDE = 32;
export const CAP_MAC_ADMIN = 33;
export const CAP_SYSLOG = 34;
export const CAP_WAKE_ALARM = 35;
export const CAP_BLOCK_SUSPEND = 36;
export const CAP_AUDIT_READ = 37;
export const CAP_PERFMON = 38;
export const CAP_BPF = 39;
export const CAP_CHECKPOINT_RESTORE = 40;
export const CAP_LAST_CAP = CAP_CHECKPOINT_RESTORE;

/** Immutable set of capabilities: bits 0–31 in `lo`, 32–40 in `hi`. */
export class CapSet {
  readonly lo: number;
  readonly hi: number;

  constructor(lo: number, hi: number) {
    this.lo = lo >>> 0;
    this.hi = (hi & 0x1ff) >>> 0;
  }

  static readonly EMPTY = new CapSet(0, 0);
  static readonly FULL = new CapSet(0xffffffff, 0x1ff);

  static of(...caps: number[]): CapSet {
    let lo = 0;
    let hi = 0;
    for (const c of caps) {
      if (c < 32) lo |= 1 << c;
      else hi |= 1 << (c - 32);
    }
    return new CapSet(lo, hi);
  }

  has(cap: number): boolean {
    return cap < 32 ? ((this.lo >>> cap) & 1) !== 0 : ((this.hi >>> (cap - 32)) & 1) !== 0;
  }

  and(o: CapSet): CapSet {
    return new CapSet(this.lo & o.lo, this.hi & o.hi);
  }

  or(o: CapSet): CapSet {
    return new CapSet(this.lo | o.lo, this.hi | o.hi);
  }

  without(o: CapSet): CapSet {
    return new CapSet(this.lo & ~o.lo, this.hi & ~o.hi);
  }

  isSubsetOf(o: CapSet): boolean {
    return (this.lo & ~o.lo) === 0 && (this.hi & ~o.hi) === 0;
  }

  equals(o: CapSet): boolean {
    return this.lo === o.lo && this.hi === o.hi;
  }

  get isEmpty(): boolean {
    return this.lo === 0 && this.hi === 0;
  }
}
