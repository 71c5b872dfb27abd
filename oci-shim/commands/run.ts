/** `runsc-ts run`: create and start a container from an OCI bundle, in the foreground. */
import { Command } from 'commander';
import type { GlobalOptions } from '../global-options.ts';
import { launch } from '../launch.ts';
import { loadBundle } from '../spec/bundle.ts';

export function runCommand(globals: () => GlobalOptions): Command {
  return new Command('run')
    .description('create and start a container from an OCI bundle, and wait for it')
    .option('-b, --bundle <dir>', 'directory with config.json and the root file system', '.')
    .option('--network <mode>', '"none": own loopback only; "host": sockets of the host’s network', 'none')
    .argument('<id>', 'name of the container')
    .addHelpText('after', '\nExample:\n  runsc-ts run --bundle /srv/bundle my-container')
    .action((id: string, options: { bundle: string; network: string }) => {
      const { config, exports } = loadBundle(id, options.bundle, options.network, globals());
      launch(config, exports, globals());
    });
}
