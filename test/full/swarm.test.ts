/** The whole story of a Swarm: besides, a rolling update and kill -9 of a node, under runc and under runsc-ts. */
import { describe, test } from 'vitest';
import { needed } from '../engines/lib/dockerd.ts';
import { missing } from '../engines/lib/programs.ts';
import { tellSwarm } from '../engines/lib/swarm-story.ts';

const lacking = missing(needed);
if (lacking.length > 0) console.log(`SKIPPED: Swarm's tests need ${lacking.join(', ')}`);

describe.skipIf(lacking.length > 0)('swarm', () => {
  test.each(['runc', 'runsc-ts'])('%s', (runtime) => tellSwarm(runtime, true));
});
