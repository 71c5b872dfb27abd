/** Swarm on three dockerds with runsc-ts as the default runtime; the slow chapters are in test/full/swarm.test.ts. */
import { describe, test } from 'vitest';
import { needed } from './lib/dockerd.ts';
import { missing } from './lib/programs.ts';
import { tellSwarm } from './lib/swarm-story.ts';

const lacking = missing(needed);
if (lacking.length > 0) console.log(`SKIPPED: Swarm's tests need ${lacking.join(', ')}`);

describe.skipIf(lacking.length > 0)('swarm', () => {
  test('a service with replicas on an overlay network, secrets and configs', () =>
    tellSwarm('runsc-ts', false));
});
