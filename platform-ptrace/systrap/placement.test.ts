import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Placement, type PlacedThread } from './placement.ts';

/** CPUs that a thread may run on, as the host shows them. */
const cpusOf = (pid: string): string =>
  /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]!;

const everywhere = cpusOf('thread-self');
const first = Number(/^\d+/.exec(everywhere)![0]);
const MANY_CALLS = 1000;

describe.skipIf(/^\d+$/.test(everywhere))('placement', () => {
  let host: ChildProcess;
  let placement: Placement;
  let guest: PlacedThread;

  const thread = (): PlacedThread => ({
    tid: host.pid!,
    cpu: -1,
    pinned: false,
    cpus: null,
    loneCalls: 0,
    placeIn: 64,
  });
  const makesCalls = (): void => {
    for (let i = 0; i < MANY_CALLS; i++) placement.observe(guest, guest.pinned ? guest.cpu : first, first);
  };

  beforeEach(() => {
    host = spawn('sleep', ['1000'], { stdio: 'ignore' });
    placement = new Placement();
    guest = thread();
  });
  afterEach(() => {
    placement.blocked(guest);
    host.kill('SIGKILL');
  });

  test('a lone guest gets a CPU that the sentry keeps off until it blocks', () => {
    makesCalls();
    expect(guest.cpu).not.toBe(first);
    expect(cpusOf(`${host.pid}`)).toBe(`${guest.cpu}`);
    expect(cpusOf('thread-self')).not.toBe(everywhere);
    expect(placement.moves).toBe(1);
    placement.blocked(guest);
    expect(cpusOf(`${host.pid}`)).toBe(everywhere);
    expect(cpusOf('thread-self')).toBe(everywhere);
  });

  test('a guest that has bound itself stays where it is', () => {
    const bits = new Uint8Array(128);
    bits[0] = 1;
    placement.bind(guest, bits);
    const bound = cpusOf(`${host.pid}`);
    expect(bound).toBe(`${first}`);
    makesCalls();
    placement.gather(guest, first + 1);
    placement.blocked(guest);
    expect(placement.moves).toBe(0);
    expect(cpusOf(`${host.pid}`)).toBe(bound);
    placement.bind(guest, null);
    expect(cpusOf(`${host.pid}`)).toBe(everywhere);
  });

  test('with another guest the sentry may run everywhere', () => {
    makesCalls();
    placement.started(thread());
    placement.observe(guest, guest.cpu, first);
    expect(cpusOf('thread-self')).toBe(everywhere);
  });
});
