/** Load averages: how many tasks have been running on average (kernel/sched/loadavg.c). */
import type { Kernel } from './kernel.ts';
import { TASK_DETACHED, TASK_KERNEL, TASK_RUNNING, type Task } from './task.ts';

/** LOAD_FREQ: once in five seconds. */
const PERIOD_NS = 5e9;
const FSHIFT = 11;
const FIXED_1 = 1 << FSHIFT;
/** EXP_1, EXP_5, EXP_15: 1/exp(5 s / 1 min) and so on, in fixed point. */
const DECAY = [1884, 2014, 2037];
/** After so many periods nothing is left of what was before. */
const PERIODS_MAX = 3600;

/** Uses a CPU or wants to. What waits for the host's files counts as sleeping. */
export function isRunnable(t: Task): boolean {
  if (t.state !== TASK_RUNNING && t.state !== TASK_KERNEL && t.state !== TASK_DETACHED) return false;
  return !t.sleeping;
}

/** calc_load() */
function calcLoad(load: number, decay: number, active: number): number {
  const next = load * decay + active * (FIXED_1 - decay);
  return Math.floor((active >= load ? next + FIXED_1 - 1 : next) / FIXED_1);
}

export class LoadAverage {
  /** Of one, five and fifteen minutes, times FIXED_1. */
  private readonly loads = [0, 0, 0];
  private next: number;

  constructor(nowNs: number) {
    this.next = nowNs + PERIOD_NS;
  }

  /** To be called now and then, at least as often as something starts or stops running for long; by an `onlooker` who does not count. */
  note(kernel: Kernel, nowNs: number, onlooker = false): void {
    if (nowNs < this.next) return;
    let running = onlooker ? -1 : 0;
    for (const g of kernel.allGroups()) for (const t of g.tasks) if (isRunnable(t)) running++;
    this.advance(running, nowNs);
  }

  /** `running` tasks have been running since the last time. */
  advance(running: number, nowNs: number): void {
    const periods = Math.floor((nowNs - this.next) / PERIOD_NS) + 1;
    this.next += periods * PERIOD_NS;
    for (let n = Math.min(periods, PERIODS_MAX); n > 0; n--) {
      DECAY.forEach((decay, i) => (this.loads[i] = calcLoad(this.loads[i]!, decay, running * FIXED_1)));
    }
  }

  /** Average `i` as a whole number of 2^−`shift`. */
  scaled(i: number, shift: number): number {
    return this.loads[i]! * 2 ** (shift - FSHIFT);
  }

  /** As in /proc/loadavg, rounded to hundredths. */
  get text(): string {
    return this.loads
      .map((load) => {
        const rounded = load + FIXED_1 / 200;
        const whole = Math.floor(rounded / FIXED_1);
        const hundredths = Math.floor(((rounded - whole * FIXED_1) * 100) / FIXED_1);
        return `${whole}.${String(hundredths).padStart(2, '0')}`;
      })
      .join(' ');
  }
}
