/** The files beside this one: verdicts by engine, and reasons for failures that are expected. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const verdictsFile = join(import.meta.dirname, 'verdicts.tsv');
const expectedFile = join(import.meta.dirname, 'expected-failures.tsv');

/** name → engine → verdict. */
export type Verdicts = Map<string, Map<string, string>>;

export function readVerdicts(): Verdicts {
  const table: Verdicts = new Map();
  if (!existsSync(verdictsFile)) return table;
  const [head, ...rows] = readFileSync(verdictsFile, 'utf8').trimEnd().split('\n');
  const engines = head!.split('\t').slice(1);
  for (const row of rows) {
    const [name, ...cells] = row.split('\t');
    table.set(name!, new Map(engines.flatMap((e, i) => (cells[i] ? [[e, cells[i]] as const] : []))));
  }
  return table;
}

export function writeVerdicts(table: Verdicts): void {
  const engines = [...new Set([...table.values()].flatMap((row) => [...row.keys()]))].sort(
    (a, b) => order(a) - order(b) || (a < b ? -1 : 1),
  );
  const rows = [...table].map(([name, row]) => [name, ...engines.map((e) => row.get(e) ?? '')].join('\t'));
  writeFileSync(verdictsFile, `${['name', ...engines].join('\t')}\n${rows.join('\n')}\n`);
}

const ENGINES = ['native', 'runc', 'systrap', 'ptrace'];
const order = (engine: string) => (ENGINES.includes(engine) ? ENGINES.indexOf(engine) : ENGINES.length);

/** name → reason, of what fails on `platform`: a name for one platform only is `name@platform`. */
export function readExpectedFailures(platform: string): Map<string, string> {
  const rows = readFileSync(expectedFile, 'utf8')
    .trimEnd()
    .split('\n')
    .filter((l) => l !== '' && !l.startsWith('#'));
  return new Map(
    rows.flatMap((row) => {
      const tab = row.indexOf('\t');
      if (tab < 0 || row.slice(tab + 1).trim() === '')
        throw new Error(`expected-failures.tsv: "${row}" has no reason`);
      const [name, only = platform] = row.slice(0, tab).split('@');
      return only === platform ? [[name!, row.slice(tab + 1)] as const] : [];
    }),
  );
}
