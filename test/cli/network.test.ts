/** What a sandbox shows of its network: the host's with `--network host`, a loopback of its own else. */
import { expect, test } from 'vitest';
import { run, runscTs } from '../lib/sandbox.ts';

const script =
  'ls /sys/class/net; for d in /sys/class/net/*; do cat $d/mtu $d/address $d/flags $d/type $d/ifindex; done; ' +
  'tail -n +3 /proc/net/dev | cut -d: -f1; cat /proc/net/route';

test('interfaces and routes are the host’s with --network host', () => {
  const native = run('sh', ['-c', script]);
  const guest = run(runscTs, ['do', '--network', 'host', '--', 'sh', '-c', script]);
  expect(guest.stdout).toBe(native.stdout);
  expect(native.stdout).toContain('lo');
});

test('without a network there is a loopback device and no route', () => {
  const guest = run(runscTs, ['do', '--', 'sh', '-c', `${script} | wc -l; ls /sys/class/net`]);
  expect(guest.stdout.trim().split('\n').at(-1)).toBe('lo');
});
