/**
 * `docker build` (classic builder) with runsc-ts as the default runtime: the image has the files and the configuration
 * that it has when runc runs the steps, and a step that fails stops the build.
 */
import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { list } from 'tar';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { needed, startDockerd, type Dockerd } from './lib/dockerd.ts';
import { missing } from './lib/programs.ts';

const lacking = missing(needed);
if (lacking.length > 0) console.log(`SKIPPED: Docker tests need ${lacking.join(', ')}`);

const DOCKERFILE = `
FROM busybox AS builder
WORKDIR /src
COPY hello.sh .
ARG VERSION=1
ENV GREETING="hello there" VERSION=$VERSION
RUN sed "s/@VERSION@/$VERSION/" hello.sh > /bin/hello && chmod 755 /bin/hello
RUN ["/bin/sh", "-c", "mkdir -p out/deep && ln -s ../hello.sh out/link && ln hello.sh out/hard && mknod out/fifo p && echo $GREETING > out/deep/file"]
RUN chown -R 1500:1500 out && chmod 4711 out/hard && chmod 700 out/deep && rm -r /etc/plain /home && mkdir /home
USER 1500
RUN id -u > /tmp/id; umask 027; touch /tmp/masked; pwd > /tmp/pwd; env | sort | grep -v HOSTNAME > /tmp/env

FROM builder AS check
RUN test ! -e /etc/plain && test ! -e /home/user && test "$(cat /tmp/id)" = 1500 && test -u out/hard

FROM busybox
COPY --from=builder /bin/hello /bin/hello
COPY --from=check --chown=1000:1000 /src/out /out
COPY --from=builder /tmp /tmp
ADD data.tar /data
RUN hello 1 2 > /hello.txt && touch -d '2020-01-02 03:04:05' /hello.txt && truncate -s 1M /sparse && chmod 600 /data/x/f
RUN for i in $(seq 200); do echo $i > /data/$i; done; rm /data/1??; mv /data/x /data/y; ln -s /nowhere /data/dangling
VOLUME /vol
EXPOSE 80
LABEL a=b
SHELL ["/bin/sh", "-ec"]
ENTRYPOINT ["hello"]
CMD ["arg"]
`;

let daemon: Dockerd;
let context = '';

const build = (dockerfile: string, tag: string): ReturnType<Dockerd['docker']> =>
  daemon.docker(['build', '--no-cache', '--build-arg', 'VERSION=7', '--tag', tag, '--file', '-', context], {
    input: dockerfile,
  });

/** One line per file of the image: what `RUN` can decide about it. */
function files(image: string): string[] {
  const tar = join(daemon.dir, 'export.tar');
  const id = daemon.docker(['create', image]).stdout.trim();
  expect(daemon.docker(['export', '--output', tar, id]).status).toBe(0);
  daemon.docker(['rm', id]);
  const lines: string[] = [];
  list({
    file: tar,
    sync: true,
    onReadEntry(entry) {
      const hash = createHash('sha256');
      entry.on('data', (data) => hash.update(data));
      entry.on('end', () => {
        const { path, type, mode, uid, gid, size, linkpath, mtime } = entry;
        const time = path === 'hello.txt' ? mtime?.toISOString() : '';
        lines.push(
          [
            path,
            type,
            mode?.toString(8),
            uid,
            gid,
            size,
            linkpath,
            time,
            hash.digest('hex').slice(0, 16),
          ].join(' '),
        );
      });
    },
  });
  return lines.sort();
}

describe.skipIf(lacking.length > 0)('docker build', () => {
  beforeAll(async () => {
    daemon = await startDockerd();
    context = join(daemon.dir, 'context');
    mkdirSync(join(context, 'tree/x'), { recursive: true });
    writeFileSync(join(context, 'hello.sh'), '#!/bin/sh\necho "version @VERSION@ $*"\n', { mode: 0o644 });
    writeFileSync(join(context, 'tree/x/f'), 'data\n');
    execFileSync('tar', ['-C', join(context, 'tree'), '-cf', join(context, 'data.tar'), '.']);
  }, 300_000);
  afterAll(async () => {
    await daemon?.stop();
  }, 120_000);

  test('files and configuration of the image', () => {
    const [runc, own] = ['runc', 'runsc-ts'].map((runtime) => {
      daemon.useRuntime(runtime);
      const r = build(DOCKERFILE, `built-${runtime}`);
      expect(r.status, r.stdout.slice(-2000) + r.stderr).toBe(0);
      const config = JSON.parse(
        daemon.docker(['inspect', '--format', '{{json .Config}}', `built-${runtime}`]).stdout,
      ) as {
        Hostname?: string;
        Image?: string;
      };
      // Both name what lies below: other layers of other bytes of time.
      delete config.Image;
      return {
        config,
        files: files(`built-${runtime}`),
        run: daemon.docker(['run', '--rm', '--runtime', runtime, `built-${runtime}`, 'a', 'b']).stdout,
      };
    });
    expect(own).toEqual(runc);
    expect(own!.run).toBe('version 7 a b\n');
  });

  test('a step that fails', () => {
    const [runc, own] = ['runc', 'runsc-ts'].map((runtime) => {
      daemon.useRuntime(runtime);
      return ['FROM busybox\nRUN echo before; exit 3\nRUN echo never', 'FROM busybox\nRUN ["/nosuch"]'].map(
        (dockerfile) => {
          const r = build(dockerfile, 'failed');
          return [
            r.status,
            r.stdout.includes('never\n'),
            /returned a non-zero code: \d+/.exec(r.stderr)?.[0],
          ];
        },
      );
    });
    expect(own).toEqual(runc);
    expect(own![0]).toEqual([3, false, 'returned a non-zero code: 3']);
  });
});
