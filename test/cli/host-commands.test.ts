// Commands about the machine, as users call them.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { run, runscTs } from '../lib/sandbox.ts';

test('doctor: a machine that runs the tests is fit, and both platforms are tried', () => {
  const r = run(runscTs, ['doctor', '--format', 'json'], { timeoutMs: 200_000 });
  const report = JSON.parse(r.stdout) as { ok: boolean; findings: { check: string; status: string }[] };
  expect(report.findings.filter((f) => f.status === 'fail')).toEqual([]);
  expect(r.status).toBe(0);
  const statusOf = (check: string) => report.findings.find((f) => f.check === check)?.status;
  expect([statusOf('sandbox, systrap'), statusOf('sandbox, ptrace')]).toEqual(['ok', 'ok']);
});

test('doctor: what is missing makes it exit with 1, with advice', () => {
  const r = run(runscTs, ['--root', '/etc/passwd/state', 'doctor', '--format', 'json'], {
    timeoutMs: 200_000,
  });
  expect(r.status).toBe(1);
  for (const f of (JSON.parse(r.stdout) as { findings: { status: string; advice?: string }[] }).findings) {
    expect(f.advice === undefined).toBe(f.status === 'ok');
  }
});

test('spec writes what run takes', () => {
  const dir = mkdtempSync(join(tmpdir(), 'spec-'));
  expect(run(runscTs, ['spec', '--bundle', dir]).status).toBe(0);
  const again = run(runscTs, ['spec', '--bundle', dir]);
  expect(again.stderr).toMatch(/exists\. Remove it first/);
  expect(again.status).toBe(1);
  // The root file system is what is missing, and nothing else is.
  expect(run(runscTs, ['run', '--bundle', dir, 'c1']).stderr).toMatch(/root\.path "rootfs"/);
  rmSync(dir, { recursive: true });
});

test.each(['checkpoint', 'restore'])('%s is refused in one line', (command) => {
  const r = run(runscTs, [command, '--image-path', '/x', 'c1']);
  expect(r.stderr).toMatch(/^runsc-ts: .* is not supported: .*\n$/);
  expect(r.status).toBe(1);
});

const SHOWN =
  'do run create exec kill delete wait list ps spec features update events doctor install uninstall';
test.each(SHOWN.split(' '))('%s --help has an example', (command) => {
  const r = run(runscTs, [command, '--help']);
  expect(r.status).toBe(0);
  expect(r.stdout).toMatch(new RegExp(`^  .*runsc-ts ${command} `, 'm'));
});
