/** The columns of a benchmark: how each runs a program. */
import { join } from 'node:path';
import { runc, runsc } from './peers.ts';

const runscTs = join(import.meta.dirname, '../../dist/runsc-ts');

export interface Runtime {
  readonly name: string;
  /** Command line that runs the bundle's process in the foreground. */
  run(bundle: string, id: string, args: readonly string[]): string[];
  /** Command line that removes a container that was left behind by a failed run, or null. */
  remove(id: string): string[] | null;
  /** Command line that runs `args` over the host's root, or null. */
  do(args: readonly string[]): string[] | null;
}

export function runtimes(): Runtime[] {
  const list: Runtime[] = [
    { name: 'native', run: (_b, _id, args) => [...args], remove: () => null, do: (args) => [...args] },
  ];
  const runcBin = runc();
  if (runcBin !== null) {
    list.push({
      name: 'runc',
      run: (bundle, id) => [runcBin, 'run', '--bundle', bundle, id],
      remove: (id) => [runcBin, 'delete', '--force', id],
      do: () => null,
    });
  }
  for (const platform of ['systrap', 'ptrace']) {
    const runscArgs = [runsc(), '--network=none', `--platform=${platform}`, '--ignore-cgroups'];
    list.push({
      name: `runsc-${platform}`,
      run: (bundle, id) => [...runscArgs, 'run', '--bundle', bundle, id],
      remove: (id) => [...runscArgs, 'delete', '-force', id],
      do: (args) => [...runscArgs, 'do', ...args],
    });
  }
  for (const platform of ['systrap', 'ptrace']) {
    const own = [runscTs, '--platform', platform];
    list.push({
      name: `runsc-ts-${platform}`,
      run: (bundle, id) => [...own, 'run', '--bundle', bundle, id],
      remove: () => null,
      do: (args) => [...own, 'do', '--', ...args],
    });
  }
  return list;
}
