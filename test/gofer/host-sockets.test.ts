/** Unix sockets of the host in a volume: with --host-uds=open as for a process of the host, else refused. */
import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { platforms, run, sandbox } from '../lib/sandbox.ts';

let top: string;
let server: ChildProcess;
let messages = '';

beforeEach(async () => {
  top = mkdtempSync(join(tmpdir(), 'host-sockets-'));
  copyFileSync(join(import.meta.dirname, 'host-sockets.py'), join(top, 'program.py'));
  server = spawn('python3', [join(top, 'program.py'), 'serve', top], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  messages = '';
  await new Promise<void>((ready) => {
    server.stdout!.on('data', (data: Buffer) => {
      messages += data.toString();
      if (messages.includes('ready\n')) ready();
    });
  });
});

afterEach(() => {
  server.kill('SIGKILL');
  rmSync(top, { recursive: true });
});

const client = (): string[] => ['python3', join(top, 'program.py'), 'use', top];

describe.each(platforms)('on %s', (platform) => {
  test('programs may connect to them with --host-uds=open', async () => {
    const natively = run(client()[0]!, client().slice(1));
    expect(natively).toMatchObject({ status: 0, stderr: '' });
    const options = { cwd: '/', global: ['--host-uds=open'], flags: ['--volume', `${top}:${top}`] };
    expect(sandbox(platform, client(), options)).toEqual(natively);
    const twice = 'to\nconnected\n'.repeat(2);
    await expect.poll(() => messages, { timeout: 30_000 }).toBe(`ready\n${twice}`);
  });

  const script = `import socket; s = socket.socket(socket.AF_UNIX); s.connect("/tmp/one"); s.send(b"x"); print(s.recv(9))`;
  const one = (...global: string[]) =>
    sandbox(platform, ['python3', '-c', script], {
      cwd: '/',
      global,
      flags: ['--volume', `${join(top, 'stream')}:/tmp/one`],
    });

  test('a socket may be a volume of its own', () => {
    expect(one('--host-uds=open')).toMatchObject({ status: 0, stdout: "b'X'\n" });
  });

  test('without the option they are refused', () => {
    const { stderr, status } = one();
    expect(stderr).toContain('ConnectionRefusedError');
    expect(status).toBe(1);
  });
});
