// Rules for devices hold for what `exec` brings in, and `update` does not change them, as under runc.
import { beforeAll, expect, test } from 'vitest';
import { platforms, run, runscTs } from '../lib/sandbox.ts';
import { defaultSpec, hasBusybox, hasRunc, TestBundle } from './bundle.ts';

const script = '(: < /dev/node) 2>&1; (: > /dev/node) 2>&1; cat /dev/null && echo null';

function outputs(command: readonly string[]): string[] {
  const b = new TestBundle();
  const spec = defaultSpec('sleep 1000');
  spec.linux.devices = [{ path: '/dev/node', type: 'c', major: 250, minor: 7, fileMode: 0o666 }];
  spec.linux.resources.devices.push({ allow: true, type: 'c', major: 250, access: 'w' });
  b.write(spec);
  const id = `devices-${process.pid}`;
  const [file, ...args] = command as [string, ...string[]];
  const cli = (more: string[], input = ''): string => {
    // A container that runs on has the streams of its `run`: a pipe would not end.
    const r = run('sh', ['-c', '"$@" >out 2>&1; s=$?; cat out; exit $s', 'sh', file, ...args, ...more], { input, cwd: b.dir }); // prettier-ignore
    return `${r.status} ${r.stdout}${r.stderr}`;
  };
  const said = [
    cli(['run', '--detach', '--bundle', b.dir, id]),
    cli(['exec', id, 'sh', '-c', script]),
    cli(['update', '--resources', '-', id], '{"devices":[{"allow":true,"access":"rwm"}]}'),
    cli(['exec', id, 'sh', '-c', script]),
  ];
  cli(['delete', '--force', id]);
  b.remove();
  return said;
}

let native: string[];
beforeAll(() => {
  if (hasRunc) native = outputs(['/usr/sbin/runc']);
});

test.runIf(hasBusybox && hasRunc).each(platforms)('%s', (platform) => {
  expect(outputs([runscTs, '--platform', platform])).toEqual(native);
  expect(native[1]).toContain('Operation not permitted');
});
