/** How each engine runs a bundle, for the Linux Test Project. */
import { existsSync } from 'node:fs';
import { runc, runsc } from '../../bench/lib/peers.ts';
import { runscTs } from '../lib/sandbox.ts';

export interface Engine {
  readonly name: string;
  /** Command line that runs the bundle's process in the foreground; null: without a bundle, on the machine itself. */
  run(bundle: string, id: string): string[] | null;
  /** Command line that removes what a killed run left behind. */
  remove(id: string): string[] | null;
}

const own = (platform: string): Engine => ({
  name: platform,
  run: (bundle, id) => [runscTs, '--platform', platform, 'run', '--bundle', bundle, id],
  remove: () => null,
});

const peer = (platform: string): Engine => {
  const args = () => [runsc(), '--network=none', `--platform=${platform}`, '--ignore-cgroups'];
  return {
    name: `runsc-${platform}`,
    run: (bundle, id) => [...args(), 'run', '--bundle', bundle, id],
    remove: (id) => [...args(), 'delete', '-force', id],
  };
};

export function engine(name: string): Engine {
  switch (name) {
    case 'native':
      return { name, run: () => null, remove: () => null };
    case 'runc': {
      const bin = runc();
      if (bin === null || !existsSync(bin)) throw new Error('runc is not installed');
      return {
        name,
        run: (bundle, id) => [bin, 'run', '--bundle', bundle, id],
        remove: (id) => [bin, 'delete', '--force', id],
      };
    }
    case 'systrap':
    case 'ptrace':
      return own(name);
    case 'runsc-systrap':
    case 'runsc-ptrace':
      return peer(name.slice('runsc-'.length));
    default:
      throw new Error(
        `unknown engine "${name}": native, runc, systrap, ptrace, runsc-systrap or runsc-ptrace`,
      );
  }
}
