import { describe, expect, test } from 'vitest';
import { CpuAccount, KernelWork, ShownTimes } from './cpu-account.ts';

describe('shown times', () => {
  test('never go back, whatever the guesses say, and add up', () => {
    const shown = new ShownTimes();
    let seed = 7;
    const random = (n: number): number => (seed = (seed * 16807) % 2147483647) % n;
    let total = 0;
    let [utime, stime] = [0, 0];
    for (let i = 0; i < 2000; i++) {
      total += random(1000);
      const user = random(total + 1);
      shown.adjust(user, total - user, 1e9 * (i + 1));
      expect(shown.utimeNs).toBeGreaterThanOrEqual(utime);
      expect(shown.stimeNs).toBeGreaterThanOrEqual(stime);
      expect(shown.utimeNs + shown.stimeNs).toBe(total);
      [utime, stime] = [shown.utimeNs, shown.stimeNs];
    }
  });

  test('are divided as the guesses are to each other', () => {
    const shown = new ShownTimes();
    shown.adjust(600, 200, 1000);
    expect([shown.utimeNs, shown.stimeNs]).toEqual([600, 200]);
    shown.adjust(0, 900, 2000);
    expect([shown.utimeNs, shown.stimeNs]).toEqual([600, 300]);
  });

  test('grow by no more than there was time, and what was too much does not come later', () => {
    const shown = new ShownTimes();
    shown.adjust(100, 0, 1000);
    shown.adjust(1000, 1000, 1500);
    expect(shown.utimeNs + shown.stimeNs).toBe(600);
    shown.adjust(1000, 1000, 9000);
    expect(shown.utimeNs + shown.stimeNs).toBe(600);
    shown.adjust(1000, 1100, 9500);
    expect(shown.utimeNs + shown.stimeNs).toBe(700);
  });

  test('a sum that has shrunk changes nothing', () => {
    const shown = new ShownTimes();
    shown.adjust(500, 500, 1000);
    shown.adjust(1, 1, 1000);
    expect([shown.utimeNs, shown.stimeNs]).toEqual([500, 500]);
  });
});

describe('the kernel’s work', () => {
  function look(work: KernelWork, ns: number): void {
    work.ns = ns;
    work.callsThen = work.calls;
  }

  function call(work: KernelWork, a: CpuAccount, times: number): void {
    work.calls += times;
    a.calls += times;
  }

  test('is shared out by numbers of calls', () => {
    const work = new KernelWork();
    look(work, 1000);
    const [a, b] = [new CpuAccount(work), new CpuAccount(work)];
    call(work, a, 30);
    call(work, b, 10);
    look(work, 5000);
    a.settle(work);
    b.settle(work);
    expect([a.kernelNs, b.kernelNs]).toEqual([3000, 1000]);
    // Nobody called: nobody pays for what the kernel did on its own.
    look(work, 9000);
    a.settle(work);
    expect(a.kernelNs).toBe(3000);
  });

  test('before it came is not for a newcomer', () => {
    const work = new KernelWork();
    const old = new CpuAccount(work);
    call(work, old, 90);
    const late = new CpuAccount(work);
    call(work, late, 10);
    look(work, 1000);
    late.settle(work);
    expect(late.kernelNs).toBe(100);
  });
});
