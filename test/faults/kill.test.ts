/** kill -9 of each process of a sandbox at random moments: it ends, says why, and nothing is left. */
import { spawn } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { processesOf, survivors } from '../lib/processes.ts';
import { platforms, runscTs } from '../lib/sandbox.ts';

const ROUNDS = Number(process.env['RUNSC_TS_FAULT_ROUNDS'] ?? 4);
const seed = Number(process.env['RUNSC_TS_FAULT_SEED'] ?? Date.now() % 1e6);

/** Numerical Recipes' generator: the same moments for the same seed. */
let state = seed;
function random(): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32;
}

const FORK_STORM = ['sh', '-c', 'while :; do /bin/true; done'];

interface End {
  code: number | null;
  signal: string | null;
  stderr: string;
  left: string[];
}

/** Kills the process of `role` (a guest: any) after `ms`; a victim that is not there yet is waited for. */
async function killOne(platform: string, role: string, ms: number): Promise<End> {
  const child = spawn(runscTs, ['--platform', platform, 'do', '--', ...FORK_STORM], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let stderr = '';
  child.stderr.on('data', (data: Buffer) => (stderr += data.toString('latin1')));
  const ended = new Promise<{ code: number | null; signal: string | null }>((resolve) =>
    child.on('close', (code, signal) => resolve({ code, signal })),
  );
  await new Promise((resolve) => setTimeout(resolve, ms));
  let all = processesOf(child.pid!);
  for (let i = 0; i < 500 && !all.some((p) => p.role === role); i++) {
    await new Promise((resolve) => setTimeout(resolve, 2));
    all = processesOf(child.pid!);
  }
  const victims = all.filter((p) => p.role === role);
  const victim = victims[Math.floor(random() * victims.length)];
  if (victim !== undefined) {
    try {
      process.kill(victim.pid, 'SIGKILL');
    } catch {
      // gone by itself: a guest of the storm
    }
  }
  const limit = setTimeout(() => child.kill('SIGKILL'), role === 'guest' ? 300 : 10_000);
  const end = await ended;
  clearTimeout(limit);
  const left = await survivors(all, 2000);
  return { ...end, stderr, left: left.map((p) => `${p.role} ${p.pid}`) };
}

describe.each(platforms)('kill -9 on %s, seed ' + seed, (platform) => {
  test.each(['launcher', 'gofer', 'init', 'sentry', 'guest'])('of the %s leaves nothing', async (role) => {
    for (let round = 0; round < ROUNDS; round++) {
      const ms = Math.floor(random() * 900);
      const end = await killOne(platform, role, ms);
      expect(end.left, `after ${ms} ms`).toEqual([]);
      if (role === 'launcher') expect(end.signal).toBe('SIGKILL');
      if (role === 'gofer' || role === 'sentry' || role === 'init') {
        expect([end.code, end.signal], `after ${ms} ms: ${end.stderr}`).toEqual([137, null]);
        expect(end.stderr).toMatch(/^runsc-ts: .*(gone|unexpectedly)/m);
      }
    }
  });
});
