/** Runs many commands of the suite in one sandbox after the other, with a new sandbox after each crash or hang. */
import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeBundle } from './bundle.ts';
import type { Engine } from './engines.ts';

export interface Command {
  name: string;
  command: string;
}

export interface Result {
  name: string;
  /** pass, fail, conf (the test says it does not apply here), timeout; crash, hang: of the whole sandbox. */
  verdict: 'pass' | 'fail' | 'conf' | 'timeout' | 'crash' | 'hang';
  seconds: number;
  output: string;
}

export interface BatchOptions {
  engine: Engine;
  ltpRoot: string;
  privileged: boolean;
  limitSeconds: number;
}

/** Exit statuses of LTP's library (include/tst_res_flags.h): 32 alone is TCONF; timeout(1) says 124 or 137. */
function verdict(status: number): Result['verdict'] {
  if (status === 0) return 'pass';
  if (status === 32) return 'conf';
  return status === 124 || status === 137 ? 'timeout' : 'fail';
}

export async function runBatch(
  commands: readonly Command[],
  options: BatchOptions,
  report: (result: Result) => void,
): Promise<void> {
  let pending = [...commands];
  while (pending.length > 0) {
    const done = new Set<string>();
    const end = await runSandbox(pending, options, (result) => {
      done.add(result.name);
      report(result);
    });
    pending = pending.filter((c) => !done.has(c.name));
    const culprit = end.current ?? (end.complete ? null : (pending[0]?.name ?? null));
    if (culprit !== null && !done.has(culprit)) {
      report({ name: culprit, verdict: end.hung ? 'hang' : 'crash', seconds: 0, output: end.output });
      pending = pending.filter((c) => c.name !== culprit);
    }
    if (end.complete) break;
  }
}

interface End {
  complete: boolean;
  hung: boolean;
  /** The command that ran when the sandbox ended. */
  current: string | null;
  output: string;
}

let serial = 0;

function runSandbox(
  commands: readonly Command[],
  options: BatchOptions,
  report: (result: Result) => void,
): Promise<End> {
  const driverDir = mkdtempSync('/tmp/ltp-driver-');
  copyFileSync(join(import.meta.dirname, 'driver.sh'), join(driverDir, 'driver.sh'));
  writeFileSync(join(driverDir, 'list'), commands.map((c) => `${c.name} ${c.command}\n`).join(''));
  const env = [
    `LTPROOT=${options.ltpRoot}`,
    'HOME=/root',
    ...['LTP_TIMEOUT_MUL', 'LTP_RUNTIME_MUL'].flatMap((k) =>
      process.env[k] ? [`${k}=${process.env[k]}`] : [],
    ),
  ];
  const id = `ltp-${process.pid}-${serial++}`;
  const guestArgs = (dir: string) => [
    '/bin/sh',
    `${dir}/driver.sh`,
    `${dir}/list`,
    `${options.limitSeconds}`,
  ];
  const bundle = makeBundle({
    ltpRoot: options.ltpRoot,
    privileged: options.privileged,
    driverDir,
    args: guestArgs('/driver'),
    env,
  });
  const native = [
    'unshare', '--mount', '--ipc', '--uts', '--net', '--pid', '--fork', '--mount-proc',
    'env', '-i', ...env, ...guestArgs(driverDir),
  ]; // prettier-ignore
  const argv = options.engine.run(bundle, id) ?? native;
  return new Promise((resolve) => {
    const child = spawn(argv[0]!, argv.slice(1), { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    const end: End = { complete: false, hung: false, current: null, output: '' };
    let text = '';
    let stderr = '';
    let lines: string[] = [];
    const kill = () => {
      end.hung = true;
      child.kill('SIGKILL');
      const remove = options.engine.remove(id);
      if (remove !== null) spawnSync(remove[0]!, remove.slice(1), { timeout: 30_000 });
    };
    const arm = () => setTimeout(kill, (options.limitSeconds + 40) * 1000);
    let timer = arm();
    child.stdout.setEncoding('latin1');
    child.stdout.on('data', (chunk: string) => {
      text += chunk;
      const parts = text.split('\n');
      text = parts.pop()!;
      for (const line of parts) {
        const [mark, name, status, seconds] = line.split(' ');
        if (mark === '@@@BEGIN') {
          end.current = name!;
          lines = [];
          clearTimeout(timer);
          timer = arm();
        } else if (mark === '@@@END') {
          end.current = null;
          report({
            name: name!,
            verdict: verdict(Number(status)),
            seconds: Number(seconds),
            output: lines.join('\n'),
          });
        } else if (mark === '@@@DONE') end.complete = true;
        else lines.push(line);
      }
    });
    child.stderr.setEncoding('latin1');
    child.stderr.on('data', (chunk: string) => (stderr = (stderr + chunk).slice(-8000)));
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      end.output = `${lines.join('\n')}\n${stderr}\nsandbox ended: status ${code} signal ${signal}`;
      const remove = options.engine.remove(id);
      if (!end.complete && remove !== null) spawnSync(remove[0]!, remove.slice(1), { timeout: 30_000 });
      for (const dir of [bundle, driverDir]) rmSync(dir, { recursive: true, force: true });
      resolve(end);
    });
  });
}
