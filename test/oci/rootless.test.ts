// An ordinary user without any rights runs a bundle, as with `runc --rootless`: the container's root is the user.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readFileSync } from 'node:fs';
import { run, runscTs, type Outcome } from '../lib/sandbox.ts';
import { hasBusybox, hasRunc, type Spec, TestBundle } from './bundle.ts';

const RUNC = '/usr/sbin/runc';
const UID = 61_234;
const GID = 61_235;

describe.runIf(hasBusybox && hasRunc)('an ordinary user', () => {
  let b: TestBundle;
  beforeEach(() => {
    b = new TestBundle();
    run('chown', ['-R', '-h', `${UID}:${GID}`, b.dir]);
  });
  afterEach(() => b.remove());

  const asUser = (...command: string[]): Outcome => {
    const ids = ['--reuid', String(UID), '--regid', String(GID), '--clear-groups'];
    const env = ['env', '-i', `PATH=${process.env['PATH'] ?? ''}`];
    return run('setpriv', [...ids, ...env, ...command], { cwd: b.dir });
  };

  /** What `spec --rootless` writes. */
  function specOf(runtime: string, name: string): Spec {
    const dir = join(b.dir, name);
    mkdirSync(dir);
    run('chown', [`${UID}:${GID}`, dir]);
    expect(asUser(runtime, 'spec', '--rootless', '--bundle', dir)).toMatchObject({ status: 0, stderr: '' });
    return JSON.parse(readFileSync(join(dir, 'config.json'), 'utf8')) as Spec;
  }

  test('spec --rootless is runc’s', () => {
    const [theirs, ours] = [specOf(RUNC, 'theirs'), specOf(runscTs, 'ours')];
    for (const s of [theirs, ours]) {
      delete s.hostname;
      delete s.ociVersion;
      s.linux.namespaces.sort((x: { type: string }, y: { type: string }) => x.type.localeCompare(y.type));
    }
    expect(ours).toEqual(theirs);
  });

  test('ids, files, name and network of a container as under runc', () => {
    const s = specOf(RUNC, 'spec');
    s.process.terminal = false;
    s.process.args = ['sh', '-c', 'id -u; id -g; tr -s " " < /proc/self/uid_map; hostname; stat -c "%u %g" /bin /tmp; echo x > /tmp/made; stat -c "%u %g" /tmp/made; rm /tmp/made; wc -l < /proc/net/dev; exit 3']; // prettier-ignore
    s.process.env = ['PATH=/bin'];
    s.root.readonly = false;
    b.write(s);
    const native = asUser(RUNC, '--root', join(b.dir, 'state1'), 'run', 'a');
    expect(native.status).toBe(3);
    expect(asUser(runscTs, '--root', join(b.dir, 'state2'), 'run', 'a')).toEqual(native);
  });
});
