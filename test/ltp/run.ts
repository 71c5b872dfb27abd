/**
 * `npm run test:ltp`: the system call commands of the Linux Test Project (runtest/syscalls), where it is installed: at
 * $LTP_ROOT, by default /opt/ltp. Nothing of the suite is part of this repository; names and verdicts are (verdicts.tsv).
 * --runtest takes another list of the suite; what comes of it is printed only.
 *
 * Fails if a command that passes under runc fails here without standing in expected-failures.tsv.
 *
 *   npm run test:ltp -- [--engine systrap,ptrace] [--jobs 2] [--batch 40] [--limit 90] [--privileged] [--every N]
 *                       [--runtest FILE]
 *                       [--record] [--logs DIR] [name or /pattern/ …]
 *
 * --record writes the verdicts into verdicts.tsv; --every N takes each Nth command; --logs keeps what the commands printed.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Command, type Result, runBatch } from './batch.ts';
import { engine } from './engines.ts';
import { readExpectedFailures, readVerdicts, writeVerdicts } from './table.ts';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    engine: { type: 'string', default: 'systrap,ptrace' },
    jobs: { type: 'string', default: '2' },
    batch: { type: 'string', default: '40' },
    limit: { type: 'string', default: '90' },
    every: { type: 'string', default: '1' },
    privileged: { type: 'boolean', default: false },
    record: { type: 'boolean', default: false },
    runtest: { type: 'string', default: 'syscalls' },
    logs: { type: 'string' },
  },
});
const ltpRoot = process.env['LTP_ROOT'] ?? '/opt/ltp';
const runtest = join(ltpRoot, 'runtest', options.runtest);
if (!existsSync(runtest)) {
  console.log(`SKIPPED: the Linux Test Project is not installed (${runtest} is missing; set LTP_ROOT)`);
  process.exit(0);
}

function commands(): Command[] {
  const all = readFileSync(runtest, 'utf8')
    .split('\n')
    .map((line) => /^([\w.-]+)\s+(.*)$/.exec(line))
    .flatMap((m) => (m ? [{ name: m[1]!, command: m[2]! }] : []));
  const wanted = (name: string) =>
    positionals.length === 0 ||
    positionals.some((p) => (p.startsWith('/') ? new RegExp(p.slice(1, -1)).test(name) : p === name));
  return all.filter((c) => wanted(c.name)).filter((_, i) => i % Number(options.every) === 0);
}

async function runEngine(name: string, list: readonly Command[]): Promise<Result[]> {
  const results: Result[] = [];
  const size = Number(options.batch);
  const batches: Command[][] = [];
  for (let i = 0; i < list.length; i += size) batches.push(list.slice(i, i + size));
  if (options.logs !== undefined) mkdirSync(join(options.logs, name), { recursive: true });
  const report = (r: Result) => {
    results.push(r);
    if (r.verdict !== 'pass' && r.verdict !== 'conf')
      console.log(`${name} ${r.name}: ${r.verdict} (${r.seconds} s)`);
    if (options.logs !== undefined)
      writeFileSync(join(options.logs, name, `${r.name}.log`), `${r.output}\n${r.verdict}\n`, 'latin1');
  };
  const worker = async () => {
    for (let b = batches.shift(); b !== undefined; b = batches.shift()) {
      await runBatch(
        b,
        {
          engine: engine(name),
          ltpRoot,
          privileged: options.privileged,
          limitSeconds: Number(options.limit),
        },
        report,
      );
    }
  };
  await Promise.all(Array.from({ length: Number(options.jobs) }, worker));
  return results;
}

const verdicts = readVerdicts();
const list = commands();
let failed = 0;
for (const name of options.engine.split(',')) {
  const results = await runEngine(name, list);
  const count = (v: string) => results.filter((r) => r.verdict === v).length;
  const kinds = ['pass', 'conf', 'fail', 'timeout', 'crash', 'hang'].map((v) => `${count(v)} ${v}`);
  console.log(`${name}: ${kinds.join(', ')} of ${results.length}`);
  const withRunc = results.filter((r) => verdicts.get(r.name)?.get('runc') === 'pass');
  const passed = withRunc.filter((r) => r.verdict === 'pass').length;
  if (withRunc.length > 0)
    console.log(
      `${name}: ${passed} of the ${withRunc.length} that pass under runc, ${((100 * passed) / withRunc.length).toFixed(1)} %`,
    );
  if (name === 'systrap' || name === 'ptrace') {
    const expected = readExpectedFailures(name);
    const surprises = withRunc.filter((r) => r.verdict !== 'pass' && !expected.has(r.name));
    failed += surprises.length;
    if (surprises.length > 0)
      console.log(
        `${name} FAILED: ${surprises
          .map((r) => r.name)
          .sort()
          .join(' ')}`,
      );
  }
  if (options.record && options.runtest === 'syscalls') {
    const order = new Map(list.map((c, i) => [c.name, i]));
    for (const r of results.sort((a, b) => order.get(a.name)! - order.get(b.name)!)) {
      const row = verdicts.get(r.name) ?? new Map<string, string>();
      verdicts.set(r.name, row.set(name, r.verdict));
    }
    writeVerdicts(verdicts);
  }
}
process.exit(failed === 0 ? 0 : 1);
