/** Runs one case in a process of its own, which is the zygote's parent. */
import { execFile } from 'node:child_process';

const root = `${import.meta.dirname}/../..`;

/** Its output: a line "ok …" or "failed …" among others. */
export function runCase(platform: string, name: string): Promise<string> {
  const args = [process.execPath, '--import', 'tsx', `${root}/test/platform/run.ts`, platform, name];
  return new Promise((resolve) => {
    execFile(
      `${root}/dist/zygote-run`,
      args,
      { cwd: root, timeout: 120_000, killSignal: 'SIGKILL' },
      (error, stdout, stderr) => resolve(error === null ? stdout : `${stdout}\n${stderr}\n${error.message}`),
    );
  });
}
