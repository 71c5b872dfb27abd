/** Runs the fuzzer (fuzz.c) in a sandbox, watches it from outside, and says what went wrong. */
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { processesOf, survivors, type HostProcess } from '../lib/processes.ts';
import { runscTs } from '../lib/sandbox.ts';

/** A guest that says nothing for as long hangs: a worker is ended after 1.5 s. */
const SILENCE_MS = 180_000;
/** Time for what ended workers leave to be gone. */
const SETTLE_MS = 30_000;
/** What the sentry may hold more than after the first round: caches, the heap's reserve. */
const MORE_FDS = 24;
const MORE_GUESTS = 6;
const MORE_RSS_KB = 160 << 10;

/** What the sentry holds when no worker is alive. */
export interface Sample {
  readonly fds: number;
  readonly guests: number;
  readonly rssKb: number;
}

export interface FuzzReport {
  /** Crashes, hangs, leaks, exceptions: empty if all is well. */
  readonly findings: readonly string[];
  readonly workers: number;
  readonly samples: readonly Sample[];
}

function sample(sentry: HostProcess): Sample {
  const status = readFileSync(`/proc/${sentry.pid}/status`, 'latin1');
  const children = readFileSync(`/proc/${sentry.pid}/task/${sentry.pid}/children`, 'latin1');
  return {
    fds: readdirSync(`/proc/${sentry.pid}/fd`).length,
    guests: children.split(' ').filter(Boolean).length,
    rssKb: Number(/^VmRSS:\s+(\d+)/m.exec(status)![1]),
  };
}

/** The sample once it is no more than `first` and the allowance, or after SETTLE_MS. */
async function settled(sentry: HostProcess, first: Sample): Promise<Sample> {
  for (let waited = 0; ; waited += 100) {
    const s = sample(sentry);
    if (waited >= SETTLE_MS || (s.fds <= first.fds + MORE_FDS && s.guests <= first.guests + MORE_GUESTS))
      return s;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

export interface FuzzRun {
  readonly platform: string;
  readonly seed: number;
  readonly seconds: number;
  readonly bin: string;
  readonly onSample?: (s: Sample) => void;
}

export async function fuzz({ platform, seed, seconds, bin, onSample }: FuzzRun): Promise<FuzzReport> {
  const volume = mkdtempSync(join(tmpdir(), 'fuzz-volume-'));
  chmodSync(volume, 0o777);
  const args = [
    '--platform',
    platform,
    'do',
    '--pids-limit',
    '400',
    '--volume',
    `${volume}:/vol`,
    '--cwd',
    '/',
  ];
  const child = spawn(runscTs, [...args, '--', bin, String(seed), String(seconds), '/vol'], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const findings: string[] = [];
  const samples: Sample[] = [];
  const lines: string[] = [];
  let all: HostProcess[] = [];
  let stderr = '';
  let pending = '';
  let silence: NodeJS.Timeout | undefined;
  const heard = (): void => {
    clearTimeout(silence);
    silence = setTimeout(() => {
      findings.push(`hang: nothing for ${SILENCE_MS} ms after: ${lines.slice(-6).join('; ')}`);
      child.kill('SIGKILL');
    }, SILENCE_MS);
  };
  const quiet = async (): Promise<void> => {
    all = processesOf(child.pid!);
    const sentry = all.find((p) => p.role === 'sentry');
    if (sentry === undefined) return;
    try {
      const s = samples.length === 0 ? sample(sentry) : await settled(sentry, samples[0]!);
      samples.push(s);
      onSample?.(s);
    } catch {
      return; // it died: its end is reported below
    }
    child.stdin.write('\n');
  };
  child.stdin.on('error', () => undefined);
  child.stderr.on('data', (data: Buffer) => (stderr = (stderr + data.toString('latin1')).slice(0, 1 << 16)));
  child.stdout.on('data', (data: Buffer) => {
    heard();
    const parts = (pending + data.toString('latin1')).split('\n');
    pending = parts.pop()!;
    for (const line of parts) {
      lines.push(line);
      if (line.startsWith('quiet ')) void quiet();
    }
    lines.splice(0, lines.length - 40);
  });
  heard();
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) =>
    child.on('close', (c, s) => resolve([c, s])),
  );
  clearTimeout(silence);
  rmSync(volume, { recursive: true, force: true });
  const done = /^done (\d+)$/.exec(lines.at(-1) ?? '');
  if (code !== 0 || done === null)
    findings.push(`ended with ${code ?? signal} after: ${lines.slice(-6).join('; ')}`);
  // The supervisor writes nothing there: it is the sandbox that speaks.
  if (stderr !== '') findings.push(`the sandbox says: ${stderr}`);
  for (const p of await survivors(all, 10_000)) findings.push(`left: ${p.role} ${p.pid}`);
  const first = samples[0];
  const last = samples.at(-1);
  if (first !== undefined && last !== undefined) {
    if (last.fds > first.fds + MORE_FDS) findings.push(`descriptors: ${first.fds}, then ${last.fds}`);
    if (last.guests > first.guests + MORE_GUESTS)
      findings.push(`host processes: ${first.guests}, then ${last.guests}`);
    if (last.rssKb > first.rssKb + MORE_RSS_KB)
      findings.push(`memory: ${first.rssKb} KiB, then ${last.rssKb} KiB`);
  }
  return { findings, workers: Number(done?.[1] ?? 0), samples };
}
