/**
 * `npm run bench [-- --quick] [-- --only REGEX]`: micro cases, start-up, memory and CI-like work in every column in one
 * run. Prints a table and ratios, writes bench/results/results.json and bench/results/micro.svg.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildMicro, makeBundle, makeVolumeBundle, micro } from './lib/bundle.ts';
import { formatHead, formatRow, ratio, svgChart, type Row } from './lib/report.ts';
import { runtimes, type Runtime } from './lib/runtimes.ts';
import { workloads } from './workload/workloads.ts';

const args = process.argv.slice(2);
const quick = args.includes('--quick');
const only = args.includes('--only') ? new RegExp(args[args.indexOf('--only') + 1]!) : null;
const columnsOnly = args.includes('--columns') ? args[args.indexOf('--columns') + 1]!.split(',') : null;
const results = join(import.meta.dirname, 'results');
mkdirSync(results, { recursive: true });

let serial = 0;
const progress = (text: string): void => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
};

/** After a failure: nothing of the container may stay. */
function removeContainer(rt: Runtime, id: string): void {
  const command = rt.remove(id);
  if (command !== null) spawnSync(command[0]!, command.slice(1), { stdio: 'ignore', timeout: 30_000 });
}

function microCase(rt: Runtime, name: string): number | null {
  const inGuest = ['/bin/micro', name, quick ? '0.2' : '1'];
  const bundle = rt.name === 'native' ? '' : makeBundle(inGuest);
  const id = `bench-${process.pid}-${serial++}`;
  try {
    const command = rt.run(bundle, id, rt.name === 'native' ? [micro, ...inGuest.slice(1)] : []);
    const r = spawnSync(command[0]!, command.slice(1), { encoding: 'utf8', timeout: 120_000 });
    const ns = Number(r.stdout.trim().split('\n').at(-1));
    if (r.status === 0 && ns > 0) return ns;
    process.stderr.write(
      `\n${rt.name} ${name}: status ${r.status ?? r.signal} ${r.stderr.trim().slice(-300)}\n`,
    );
    removeContainer(rt, id);
    return null;
  } finally {
    if (bundle !== '') rmSync(bundle, { recursive: true, force: true });
  }
}

/** Median seconds of a command, measured in a process of its own. */
function wall(command: readonly string[], samples: number, scratch?: string): number | null {
  const tsx = join(import.meta.dirname, '../node_modules/tsx/dist/cli.mjs');
  const r = spawnSync(
    process.execPath,
    [tsx, join(import.meta.dirname, 'wall.ts'), String(samples), ...command],
    {
      encoding: 'utf8',
      env: { ...process.env, ...(scratch === undefined ? {} : { BENCH_SCRATCH: scratch }) },
    },
  );
  const s = Number(r.stdout.trim().split('\n').at(-1));
  if (r.status === 0 && s > 0) return s;
  process.stderr.write(`\n${command.join(' ')}: ${r.stderr.trim().slice(-300)}\n`);
  return null;
}

function startCase(rt: Runtime): number | null {
  const bundle = makeBundle(['/bin/micro', 'nothing']);
  const id = `bench-${process.pid}-${serial++}`;
  try {
    const seconds = wall(rt.run(bundle, id, [micro, 'nothing']), quick ? 3 : 10);
    if (seconds === null) removeContainer(rt, id);
    return seconds;
  } finally {
    rmSync(bundle, { recursive: true, force: true });
  }
}

/** Work on many small files of a directory of the host. */
function volumeCase(rt: Runtime): number | null {
  const volume = mkdtempSync(join(tmpdir(), 'bench-volume-'));
  const bundle = makeVolumeBundle(['/bin/sh', '/workload/volume.sh', '/volume'], volume);
  const id = `bench-${process.pid}-${serial++}`;
  try {
    const natively = ['/bin/sh', join(import.meta.dirname, 'workload/volume.sh'), volume];
    const seconds = wall(rt.run(bundle, id, natively), quick ? 1 : 3);
    if (seconds === null) removeContainer(rt, id);
    return seconds;
  } finally {
    rmSync(bundle, { recursive: true, force: true });
    rmSync(volume, { recursive: true, force: true });
  }
}

/** Pss in MiB of all host processes of an idle sandbox. */
async function memoryCase(rt: Runtime): Promise<number | null> {
  const command = rt.do(['/bin/sleep', '1000']);
  if (command === null) return null;
  const child = spawn(command[0]!, command.slice(1), { stdio: 'ignore', detached: true });
  await new Promise((r) => setTimeout(r, 3000));
  let kib = 0;
  for (const pid of descendants(child.pid!)) {
    try {
      kib += Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0);
    } catch {
      // The process ended meanwhile.
    }
  }
  process.kill(-child.pid!, 'SIGKILL');
  await new Promise((r) => setTimeout(r, 500));
  return kib / 1024;
}

function descendants(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      const ppid = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      children.set(ppid, [...(children.get(ppid) ?? []), Number(name)]);
    } catch {
      // The process ended meanwhile.
    }
  }
  const all = [root];
  for (let i = 0; i < all.length; i++) all.push(...(children.get(all[i]!) ?? []));
  return all;
}

buildMicro();
const columns = runtimes().filter((rt) => columnsOnly === null || columnsOnly.includes(rt.name));
const names = columns.map((c) => c.name);
const wanted = (name: string): boolean => only === null || only.test(name);
const microRows: Row[] = [];
const others: Row[] = [];

/** Measures one case in every column. A run takes long: each row is shown and kept as soon as it is there. */
async function measure(
  rows: Row[],
  name: string,
  unit: string,
  of: (rt: Runtime) => number | null | Promise<number | null>,
): Promise<void> {
  if (!wanted(name)) return;
  const values: Record<string, number | null> = {};
  for (const rt of columns) {
    progress(`${name} ${rt.name}`);
    values[rt.name] = await of(rt);
  }
  progress('');
  const row = { name, unit, values };
  rows.push(row);
  console.log(formatRow(row, names));
  writeFileSync(
    join(results, 'results.json'),
    JSON.stringify({ columns: names, micro: microRows, others }, null, 2),
  );
}

console.log(formatHead(names));
for (const name of spawnSync(micro, { encoding: 'utf8' }).stdout.trim().split('\n')) {
  await measure(microRows, name, 'ns', (rt) => microCase(rt, name));
}
await measure(others, 'start: run true', 's', startCase);
await measure(others, 'volume, 2000 files', 's', volumeCase);
await measure(others, 'memory: idle Pss', 'MiB', memoryCase);
for (const w of workloads) {
  const missing = w.needs?.filter((program) => spawnSync('which', [program]).status !== 0) ?? [];
  if (missing.length > 0) {
    if (wanted(w.name)) console.error(`${w.name}: SKIPPED, not installed: ${missing.join(', ')}`);
    continue;
  }
  await measure(others, w.name, 's', (rt) => {
    const command = rt.do(w.command());
    return command === null ? null : wall(command, quick ? 1 : 3, w.scratch);
  });
}
console.log('');
for (const [a, b] of [
  ['runsc-ts-systrap', 'runsc-systrap'],
  ['runsc-ts-ptrace', 'runsc-ptrace'],
  ['runsc-ts-systrap', 'native'],
] as const) {
  const r = ratio(microRows, a, b);
  if (r !== null) console.log(`micro cases, geometric mean ${a} / ${b}: ${r.toFixed(2)}`);
}
writeFileSync(join(results, 'micro.svg'), svgChart(microRows, 'runsc-ts-systrap', 'runsc-systrap'));
