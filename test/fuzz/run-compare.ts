// `npm run test:fuzz -- --compare tmpfs,overlay --seeds 1-100 --count 100`: random sequences of file operations, natively and in
// sandboxes; the first difference of each is shrunk and printed, those that look alike once.
import { rmSync } from 'node:fs';
import { compare, compileComparer, kinds, type Kind } from './compare.ts';

export interface CompareOptions {
  readonly kinds: string;
  readonly platforms: string;
  /** "7" or "1-100". */
  readonly seeds: string;
  readonly count: number;
}

/** Whether there was no difference. */
export async function runCompare(options: CompareOptions): Promise<boolean> {
  const [from, to] = options.seeds.split('-').map(Number) as [number, number?];
  const seeds = Array.from({ length: (to ?? from) - from + 1 }, (_, i) => from + i);
  const chosen = options.kinds === 'all' ? kinds : (options.kinds.split(',') as Kind[]);
  const seen = new Map<string, number>();
  const bin = compileComparer();
  try {
    for (const platform of options.platforms.split(','))
      for (const kind of chosen) {
        const result = await compare({
          bin,
          kind,
          platform,
          seeds,
          count: options.count,
          shrink: (signature) => !seen.has(signature),
          onDifference: (d) => {
            const times = (seen.get(d.signature) ?? 0) + 1;
            seen.set(d.signature, times);
            if (times > 1) return;
            console.log(
              `DIFFERENCE ${kind} on ${platform}, seed ${d.seed} ${d.operations.join(',')}: ${d.signature}`,
            );
            for (const line of d.transcript) console.log(`    ${line}`);
            console.log(`  native ${d.native}\n  guest  ${d.guest}`);
          },
        });
        const { operations, differences, unsteady } = result;
        console.log(
          `${kind} on ${platform}: ${operations} operations, ${differences.length} differences, ${unsteady.length} unsteady seeds ${unsteady.slice(0, 20).join()}`,
        );
      }
  } finally {
    rmSync(bin);
  }
  for (const [signature, times] of seen) if (times > 1) console.log(`${times} × ${signature}`);
  return seen.size === 0;
}
