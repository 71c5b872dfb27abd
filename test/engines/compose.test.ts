/** `docker-compose` of two services that know each other by name; test/full/compose.test.ts has a whole stack. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { composeIn } from './lib/compose.ts';
import { needed, startDockerd, type Dockerd } from './lib/dockerd.ts';
import { missing } from './lib/programs.ts';
import { retry } from './lib/until.ts';

const lacking = missing({ ...needed, 'docker-compose': 'docker-compose' });
if (lacking.length > 0) console.log(`SKIPPED: compose's tests need ${lacking.join(', ')}`);

const PROJECT = `
version: "2.4"
services:
  server:
    image: busybox
    runtime: \${RUNTIME}
    command: sh -c 'echo "$$PAGE" > /var/www/index.html; exec httpd -f -p 80 -h /var/www'
    environment: {PAGE: from the server}
    volumes: ["shared:/shared"]
    networks: {front: {aliases: [www]}}
  client:
    image: busybox
    runtime: \${RUNTIME}
    volumes: ["shared:/shared:ro", "./here:/here"]
    networks: [front]
volumes: {shared: }
networks: {front: }
`;

let daemon: Dockerd;

describe.skipIf(lacking.length > 0)('docker-compose', () => {
  beforeAll(async () => {
    daemon = await startDockerd();
  }, 300_000);
  afterAll(async () => {
    await daemon?.stop();
  }, 120_000);

  test('two services by name, a volume of both, down', () => {
    const [runc, own] = ['runc', 'runsc-ts'].map((runtime) => {
      const dir = join(daemon.dir, `project-${runtime}`);
      mkdirSync(join(dir, 'here'), { recursive: true });
      writeFileSync(join(dir, 'here/file'), 'of the project\n');
      writeFileSync(join(dir, 'docker-compose.yml'), PROJECT);
      const compose = composeIn(daemon, dir, { RUNTIME: runtime });
      const up = compose('up', '-d', 'server');
      expect(up.status, up.stderr).toBe(0);
      const written = compose(
        'exec',
        '-T',
        'server',
        'sh',
        '-c',
        'echo shared > /shared/f; echo $PAGE',
      ).stdout;
      const ask = `${retry('wget -q -O - http://server/')}; wget -q -O - http://www/; cat /shared/f /here/file; exit 4`;
      const asked = compose('run', '--rm', '-T', 'client', 'sh', '-c', ask);
      const stopped = compose('stop', '--timeout', '1').status;
      const codes = daemon
        .docker(['ps', '--all', '--format', '{{.Status}}'])
        .stdout.replace(/ \S+ .* ago/g, '');
      const down = compose('down', '--volumes').status;
      return {
        written,
        asked: [asked.status, asked.stdout],
        stopped,
        codes,
        down,
        left:
          daemon.docker(['ps', '--all', '--quiet']).stdout +
          daemon.docker(['volume', 'ls', '--quiet']).stdout,
      };
    });
    expect(own).toEqual(runc);
    expect(own!.asked).toEqual([4, 'from the server\nfrom the server\nshared\nof the project\n']);
    expect([own!.down, own!.left]).toEqual([0, '']);
  });
});
