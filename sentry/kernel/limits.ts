/** Resource limits of a process (include/uapi/asm-generic/resource.h, kernel/sys.c). RLIM_INFINITY is Infinity. */

export const RLIMIT_CPU = 0;
export const RLIMIT_FSIZE = 1;
export const RLIMIT_DATA = 2;
export const RLIMIT_STACK = 3;
export const RLIMIT_CORE = 4;
export const RLIMIT_RSS = 5;
export const RLIMIT_NPROC = 6;
export const RLIMIT_NOFILE = 7;
export const RLIMIT_MEMLOCK = 8;
export const RLIMIT_AS = 9;
export const RLIMIT_LOCKS = 10;
export const RLIMIT_SIGPENDING = 11;
export const RLIMIT_MSGQUEUE = 12;
export const RLIMIT_NICE = 13;
export const RLIMIT_RTPRIO = 14;
export const RLIMIT_RTTIME = 15;
export const RLIM_NLIMITS = 16;

/** Linux's INIT_RLIMITS, with the process and signal counts of an ordinary machine. */
const INITIAL: readonly (readonly [number, number])[] = [
  [Infinity, Infinity],
  [Infinity, Infinity],
  [Infinity, Infinity],
  [8 * 1024 * 1024, Infinity],
  [0, Infinity],
  [Infinity, Infinity],
  [31434, 31434],
  [1024, 1048576],
  [8 * 1024 * 1024, 8 * 1024 * 1024],
  [Infinity, Infinity],
  [Infinity, Infinity],
  [31434, 31434],
  [819200, 819200],
  [0, 0],
  [0, 0],
  [Infinity, Infinity],
];

export class ResourceLimits {
  private readonly soft = new Float64Array(RLIM_NLIMITS);
  private readonly hard = new Float64Array(RLIM_NLIMITS);

  constructor() {
    INITIAL.forEach(([cur, max], i) => this.set(i, cur, max));
  }

  cur(resource: number): number {
    return this.soft[resource]!;
  }

  max(resource: number): number {
    return this.hard[resource]!;
  }

  /** Preconditions: cur ≤ max, checked by the caller together with its privilege. */
  set(resource: number, cur: number, max: number): void {
    this.soft[resource] = cur;
    this.hard[resource] = max;
  }

  clone(): ResourceLimits {
    const copy = new ResourceLimits();
    copy.soft.set(this.soft);
    copy.hard.set(this.hard);
    return copy;
  }

  /** RLIMIT_FSIZE in bytes. */
  get fileSize(): number {
    return this.soft[RLIMIT_FSIZE]!;
  }

  /** RLIMIT_NOFILE soft. */
  get openFiles(): number {
    return this.soft[RLIMIT_NOFILE]!;
  }

  /** RLIMIT_NICE: 20 − the best nice value. */
  get nice(): number {
    return this.soft[RLIMIT_NICE]!;
  }

  /** RLIMIT_AS, RLIMIT_DATA, RLIMIT_STACK, RLIMIT_MEMLOCK soft, in bytes (mm/memory-manager.ts MemoryLimits). */
  get addressSpace(): number {
    return this.soft[RLIMIT_AS]!;
  }

  get data(): number {
    return this.soft[RLIMIT_DATA]!;
  }

  get mappedData(): number {
    return this.data === 0 ? this.hard[RLIMIT_DATA]! : this.data;
  }

  get stack(): number {
    return this.soft[RLIMIT_STACK]!;
  }

  get memlock(): number {
    return this.soft[RLIMIT_MEMLOCK]!;
  }
}
