/**
 * `npm run bench:docker [-- SAMPLES]`: wall time of `docker run --rm --network none busybox true` under one dockerd, the runtimes
 * taking turns. Prints medians in seconds and their ratio to runsc's.
 */
import { performance } from 'node:perf_hooks';
import { startDockerd } from '../test/engines/lib/dockerd.ts';
import { runsc } from './lib/peers.ts';

const samples = Number(process.argv[2] ?? 10);
const names = ['runc', 'runsc', 'runsc-ts'];
const daemon = await startDockerd({
  runtimes: { runsc: { path: runsc(), runtimeArgs: ['--network=none'] } },
});
try {
  const seconds = new Map(names.map((name) => [name, [] as number[]]));
  for (let i = 0; i <= samples; i++) {
    for (const name of names) {
      const start = performance.now();
      const r = daemon.docker(['run', '--rm', '--network', 'none', '--runtime', name, 'busybox', 'true']);
      if (r.status !== 0) throw new Error(`${name}: status ${r.status}: ${r.stderr}`);
      // The first round reads the programs from the disk.
      if (i > 0) seconds.get(name)!.push((performance.now() - start) / 1000);
    }
  }
  const median = (name: string): number => seconds.get(name)!.sort((a, b) => a - b)[samples >> 1]!;
  for (const name of names) {
    const ratio = (median(name) / median('runsc')).toFixed(2);
    console.log(`docker run true, ${name}: ${median(name).toFixed(3)} s, ${ratio} of runsc`);
  }
} finally {
  await daemon.stop();
}
