/** `runsc-ts run`: create and start a container from an OCI bundle, in the foreground. */
import { Command } from 'commander';
import type { GlobalOptions } from '../global-options.ts';
import { launch } from '../launch.ts';
import { loadBundle } from '../spec/bundle.ts';
import { UserError, warn } from '../user-error.ts';

export function runCommand(globals: () => GlobalOptions): Command {
  return new Command('run')
    .description('create and start a container from an OCI bundle, and wait for it')
    .option('-b, --bundle <dir>', 'directory with config.json and the root file system', '.')
    .option('--network <mode>', '"none": own loopback only; "host": sockets of the host’s network', 'none')
    .argument('<id>', 'name of the container')
    .addHelpText('after', '\nExample:\n  runsc-ts run --bundle /srv/bundle my-container')
    .action(async (id: string, options: { bundle: string; network: string }) => {
      const bundle = loadBundle(id, options.bundle, options.network, globals());
      for (const w of bundle.warnings) warn(w);
      const joined = bundle.namespaces.find((n) => n.path !== null);
      if (joined !== undefined) {
        throw new UserError(
          `config.json: linux.namespaces "${joined.path}": joining a namespace of type ${joined.type} is not supported by run`,
        );
      }
      const { makeGroups, OwnGroups } = await import('../cgroup/sandbox-groups.ts');
      const systemd = globals().systemdCgroup;
      const { config, exports, resources, cgroupsPath } = bundle;
      const group = makeGroups({ id, cgroupsPath, systemd, resources }, warn);
      launch(config, exports, globals(), group === null ? null : new OwnGroups(group));
    });
}
