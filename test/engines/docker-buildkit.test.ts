/**
 * `docker build` with BuildKit, whose steps dockerd 20.10 runs by the program `runc` of its PATH: with runsc-ts under that name
 * the image is what it is with runc.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runscTs } from '../lib/sandbox.ts';
import { needed, startDockerd, type Dockerd } from './lib/dockerd.ts';
import { missing } from './lib/programs.ts';

const lacking = missing(needed);
if (lacking.length > 0) console.log(`SKIPPED: Docker tests need ${lacking.join(', ')}`);

const DOCKERFILE = `
FROM busybox AS builder
WORKDIR /src
COPY hello.sh .
RUN chmod 755 hello.sh && ./hello.sh built > out.txt && id -u >> out.txt
RUN --mount=type=cache,target=/cache echo one >> /cache/file
RUN --mount=type=cache,target=/cache echo two >> /cache/file && cp /cache/file cached.txt
RUN --mount=type=tmpfs,target=/t touch /t/x && ls /t > tmpfs.txt
RUN --mount=type=bind,from=busybox,target=/other ls /other/bin/sh > bind.txt
FROM busybox
COPY --from=builder --chown=5:6 /src /src
USER 7
RUN ls -ln /src > /tmp/seen && id -u >> /tmp/seen && hostname >> /tmp/seen && test ! -e /cache
`;
const LOOK = 'cd /src && ls -ln | sed "s/[A-Z][a-z][a-z] .*:.. //"; cat *.txt; tail -n 2 /tmp/seen; ls /';

interface Built {
  statuses: (number | null)[];
  image: string;
  failure: string;
}

function build(daemon: Dockerd): Built {
  const context = join(daemon.dir, 'context');
  mkdirSync(context);
  writeFileSync(join(context, 'hello.sh'), '#!/bin/sh\necho hello $1\n');
  const one = (tag: string, dockerfile: string): ReturnType<Dockerd['docker']> => {
    writeFileSync(join(context, 'Dockerfile'), dockerfile);
    return daemon.docker(['build', '--no-cache', '--tag', tag, context], {
      env: { DOCKER_BUILDKIT: '1', BUILDKIT_PROGRESS: 'plain' },
    });
  };
  const good = one('good', DOCKERFILE);
  const bad = one('bad', 'FROM busybox\nRUN exit 3\n');
  const seen = daemon.docker(['run', '--rm', '--network', 'none', 'good', 'sh', '-c', LOOK]);
  return {
    statuses: [good.status, bad.status, seen.status],
    image: seen.stdout,
    failure: /executor failed running .*/.exec(bad.stderr)?.[0] ?? bad.stderr,
  };
}

test.skipIf(lacking.length > 0)('steps of BuildKit make the same image as under runc', async () => {
  const results: Built[] = [];
  for (const programs of [{}, { runc: runscTs }]) {
    const daemon = await startDockerd({ programs });
    try {
      results.push(build(daemon));
    } finally {
      await daemon.stop();
    }
  }
  const [runc, own] = results;
  expect(runc!.statuses).toEqual([0, 1, 0]);
  expect(own).toEqual(runc);
});
