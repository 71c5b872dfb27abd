/** A thousand sandboxes, one after the other: no process, mount, file or memory is lost on the way. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { traces } from '../lib/processes.ts';
import { platforms, sandbox } from '../lib/sandbox.ts';

const COUNT = Number(process.env['RUNSC_TS_SANDBOXES'] ?? 1000);

const processes = (): number => readdirSync('/proc').filter((name) => /^\d+$/.test(name)).length;
const slabKb = (): number =>
  Number(/^SUnreclaim:\s+(\d+)/m.exec(readFileSync('/proc/meminfo', 'latin1'))![1]);

const PROGRESS = 50;

test.each(platforms)(`${COUNT} sandboxes on %s`, async (platform) => {
  sandbox(platform, ['true']);
  const before = traces();
  const processesBefore = processes();
  const slabBefore = slabKb();
  const start = performance.now();
  for (let i = 0; i < COUNT; i++) {
    if (i % PROGRESS === 0) {
      console.log(`${platform}: ${i} sandboxes, ${Math.round((performance.now() - start) / 1000)} s`);
      // Sandboxes are waited for: between them the test's runner hears that the test is alive, and prints.
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    const { status, stderr } = sandbox(platform, ['true']);
    expect([i, status, stderr]).toEqual([i, 0, '']);
  }
  expect(traces()).toBe(before);
  expect(processes()).toBeLessThan(processesBefore + 20);
  // Kernel memory that a leaked namespace or mount would hold: some 100 KiB each.
  expect(slabKb() - slabBefore).toBeLessThan(COUNT * 20);
});
