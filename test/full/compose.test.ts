/**
 * A stack by docker-compose: a program of Python's behind a published port, redis and postgres of Debian, which find each
 * other by name. Told under runc and under runsc-ts by the same dockerd; the image of the program is built on the way.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { root } from '../lib/sandbox.ts';
import { composeIn } from '../engines/lib/compose.ts';
import { needed, startDockerd, type Dockerd } from '../engines/lib/dockerd.ts';
import { missing } from '../engines/lib/programs.ts';
import { until } from '../engines/lib/until.ts';

const lacking = missing({ ...needed, 'docker-compose': 'docker-compose', debootstrap: 'debootstrap' });
if (lacking.length > 0) console.log(`SKIPPED: the stack of services needs ${lacking.join(', ')}`);

const PACKAGES = 'postgresql redis-server python3-redis python3-psycopg2 procps busybox-static';

const QUERIES = `
CREATE TABLE item (id serial PRIMARY KEY, name text NOT NULL, price numeric(8,2), tags text[]);
INSERT INTO item (name, price, tags) SELECT 'item ' || i, i * 1.25, ARRAY['t' || i % 3, 'all'] FROM generate_series(1, 20000) i;
CREATE INDEX item_name ON item (name);
CREATE INDEX item_tags ON item USING gin (tags);
BEGIN; UPDATE item SET price = price + 1 WHERE id % 2 = 0; SAVEPOINT s; DELETE FROM item; ROLLBACK TO s; COMMIT;
SELECT count(*), sum(price), min(name), max(name) FROM item;
SELECT count(*) FROM item WHERE tags @> ARRAY['t1'];
SELECT a.id, b.id FROM item a JOIN item b ON b.id = a.id * 2 WHERE a.id > 9998 ORDER BY 1;
INSERT INTO item (id, name) VALUES (1, 'twice');
VACUUM ANALYZE item;
COPY (SELECT id, name FROM item WHERE id < 4 ORDER BY id) TO STDOUT;
SELECT md5(string_agg(id || name || price, ',' ORDER BY id)) FROM item;
CHECKPOINT;
`;

let daemon: Dockerd;

/** What a page shows: a count of redis', rows of postgres'. */
function page(path: string): string {
  const [command, ...args] = daemon.enter([
    'busybox',
    'wget',
    '-q',
    '-O',
    '-',
    `http://127.0.0.1:8088${path}`,
  ]);
  const r = spawnSync(command!, args, { encoding: 'utf8', timeout: 120_000 });
  return r.status === 0 ? r.stdout : `failed: ${r.stderr}`;
}

function story(runtime: string): unknown {
  daemon.useRuntime(runtime);
  const dir = join(daemon.dir, `stack-${runtime}`);
  cpSync(join(import.meta.dirname, 'stack'), dir, { recursive: true });
  const compose = composeIn(daemon, dir, {});
  const logs = (): string => compose('logs', '--no-color').stdout.slice(-4000);
  try {
    const up = compose('up', '-d', '--build');
    expect(up.status, up.stderr.slice(-3000) + logs()).toBe(0);
    until('the program answers', () => page('/health') === 'ok\n', logs);
    const pages = [1, 2, 3].map(() => page('/visit'));
    const psql = ['psql', '--no-psqlrc', '-At', '-d', 'postgres', '-c'];
    const queries = QUERIES.trim()
      .split('\n')
      .map((query) => {
        const r = compose('exec', '-T', 'db', ...psql, query);
        return [r.status, r.stdout, r.stderr];
      });
    const redis = (...args: string[]): string => compose('exec', '-T', 'cache', 'redis-cli', ...args).stdout;
    const cache = [
      redis(
        'eval',
        "for i = 1, 1000 do redis.call('zadd', 'z', i * 7 % 1001, i) end return redis.call('zrange', 'z', 0, 3)",
        '0',
      ),
      redis('bgsave').length > 0,
      redis('xadd', 'stream', '1-1', 'k', 'v'),
      redis('get', 'visits'),
    ];
    const restarted = compose('restart', '--timeout', '60').status;
    until('the program answers again', () => page('/health') === 'ok\n', logs);
    const kept = page('/visit');
    const killed = compose('kill', '-s', 'SIGKILL', 'db').status;
    const started = compose('up', '-d').status;
    until('the program answers after the crash', () => page('/health') === 'ok\n', logs);
    return { pages, queries, cache, restarted, kept, killed, started, recovered: page('/visit') };
  } finally {
    compose('down', '--volumes', '--timeout', '30');
  }
}

describe.skipIf(lacking.length > 0)('docker-compose: web, redis, postgres', () => {
  beforeAll(async () => {
    const args = ['/var/cache/runsc-ts-test/services', PACKAGES];
    const services = execFileSync(join(root, 'test/programs/make-root.sh'), args, {
      encoding: 'utf8',
    }).trim();
    daemon = await startDockerd();
    const tar = join(daemon.dir, 'services.tar');
    execFileSync('tar', [
      '-C',
      services,
      '--exclude=./var/cache/apt/*',
      '--exclude=./var/lib/apt/lists/*',
      '-cf',
      tar,
      '.',
    ]);
    const path = '/usr/lib/postgresql/15/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
    const r = daemon.docker(['import', '--change', `ENV PATH=${path}`, tar, 'services'], {
      timeout: 600_000,
    });
    expect(r.status, r.stderr).toBe(0);
  }, 3_600_000);
  afterAll(async () => {
    await daemon?.stop();
  }, 120_000);

  test('the stack', () => {
    const [runc, own] = ['runc', 'runsc-ts'].map(story);
    expect(own).toEqual(runc);
    const { pages, kept, recovered } = own as { pages: string[]; kept: string; recovered: string };
    expect([...pages, kept, recovered]).toEqual(
      [1, 2, 3, 4, 5].map((n) => `visit ${n} by redis, ${n} rows of postgres from web\n`),
    );
    expect(daemon.docker(['ps', '--all', '--quiet']).stdout).toBe('');
  });
});
