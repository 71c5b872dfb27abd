#!/usr/bin/env node
// `npm test`: installs what is missing, builds, and runs the fast tiers; the last line is the sum over all of them.
// `npm run test:full` adds the slow tiers (test/full).
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const full = process.argv.includes('--full');
const reports = join(root, 'node_modules/.cache/reports');
// What the tests run: programs of the sandboxes, and the engines that drive them.
const PACKAGES =
  'python3 perl procps make less sqlite3 xz-utils bindfs fuse-overlayfs squashfuse squashfs-tools valgrind acl strace gdb musl-tools tcpdump iproute2 iptables busybox-static runc containerd docker.io docker-compose podman conmon netavark catatonit containernetworking-plugins uidmap slirp4netns'.split(
    ' ',
  );
// Directories of the integration tests of the OCI runtime: about half of the time that all take.
const OCI = ['engines', 'oci'];
const sum = { passed: 0, failed: 0, skipped: 0 };

const environment = { ...(process.stdout.isTTY ? {} : { NO_COLOR: '1' }), ...process.env };
const run = (command, args) =>
  spawnSync(command, args, { cwd: root, stdio: 'inherit', env: environment }).status === 0;

/** A step without tests of its own counts as one. */
function step(name, command, args) {
  console.log(`\n== ${name}`);
  if (run(command, args)) sum.passed++;
  else {
    sum.failed++;
    console.log(`== ${name} FAILED`);
  }
}

/** Starts the test runner; its promise adds what it reports to the sum. */
async function vitest(name, args, env) {
  console.log(`\n== ${name}`);
  mkdirSync(reports, { recursive: true });
  const file = join(reports, `${name}.json`);
  rmSync(file, { force: true });
  const runner = spawn(
    'node',
    [
      'node_modules/vitest/vitest.mjs',
      'run',
      '--reporter=dot',
      '--reporter=json',
      '--reporter=./test/lib/flaky-reporter.ts',
      `--outputFile.json=${file}`,
      ...args,
    ],
    { cwd: root, stdio: 'inherit', env: { ...environment, ...env } },
  );
  const [status] = await once(runner, 'close');
  if (!existsSync(file)) {
    sum.failed++;
    console.log(`== ${name}: the test runner left no report`);
    return;
  }
  const report = JSON.parse(readFileSync(file, 'utf8'));
  sum.passed += report.numPassedTests;
  sum.failed += report.numFailedTests;
  sum.skipped += report.numPendingTests + report.numTodoTests;
  // A file that does not even load has no failed test of its own.
  if (status !== 0 && report.numFailedTests === 0) sum.failed++;
  for (const f of report.testResults) {
    for (const t of f.assertionResults)
      if (t.status === 'failed') console.log(`FAILED ${f.name.replace(`${root}/`, '')} ${t.fullName}`);
  }
}

if (!run('./setup.sh', PACKAGES)) {
  console.log('setup failed\n0 passed, 1 failed, 0 skipped');
  process.exit(1);
}
step('types', 'node', ['node_modules/typescript/bin/tsc']);
step('lint', 'node', ['node_modules/eslint/bin/eslint.js', '.']);
step('format', 'node', ['node_modules/prettier/bin/prettier.cjs', '--check', '--log-level=warn', '.']);
await vitest('unit', ['--project', 'unit']);
// Two lanes at once, one file at a time in each: a test waits for half of its time. Slow files take a sample of their cases unless
// the run is a full one.
const sample = full ? { RUNSC_TS_FULL: '1' } : {};
const [oci, sandbox] = [true, false].map((asked) =>
  readdirSync(join(root, 'test'))
    .filter((name) => OCI.includes(name) === asked)
    .map((name) => `test/${name}`),
);
await Promise.all([
  vitest('integration-sandbox', ['--project', 'integration', ...sandbox], sample),
  vitest('integration-oci', ['--project', 'integration', ...oci], sample),
]);
if (full) await vitest('full', ['--project', 'full']);

console.log(`\n${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`);
process.exit(sum.failed === 0 && sum.passed > 0 ? 0 : 1);
