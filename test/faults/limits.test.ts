// Guests that want more than they may have: they are refused, the sandbox lives on and ends with their status.
import { describe, expect, test } from 'vitest';
import { platforms, run, runscTs, sandbox } from '../lib/sandbox.ts';

const bash = (platform: string, script: string, flags: string[] = []) =>
  sandbox(platform, ['/bin/bash', '-c', script], { flags, cwd: '/' });

describe.each(platforms)('%s', (platform) => {
  test('a fork bomb stops at the pids limit', () => {
    const bomb = 'f() { f | f & }; f 2>/dev/null; sleep 1; echo alive; exit 3';
    const r = bash(platform, bomb, ['--pids-limit', '60']);
    expect(r.stdout).toContain('alive');
    expect(r.status).toBe(3);
  });

  test('the pids limit is exact', () => {
    const script = 'for i in 1 2 3 4 5 6 7 8 9 10; do sleep 20 & done 2>/dev/null; jobs -p | wc -l';
    const counted = bash(platform, `exec 2>/dev/null; ${script}`, ['--pids-limit', '12']);
    expect(Number(counted.stdout)).toBe(10);
  });

  test('a memory hog under RLIMIT_AS fails, its parent goes on', () => {
    const hog = `python3 -c 'x = bytearray(1 << 30)' 2>/dev/null; echo hog $?`;
    expect(bash(platform, `ulimit -v 500000; ${hog}`).stdout).toBe('hog 1\n');
  });

  test('a tmpfs is full at its size', () => {
    const script =
      'mkdir /tmp/m && mount -t tmpfs -o size=1m tmpfs /tmp/m && head -c 2000000 /dev/zero > /tmp/m/f; stat -c %s /tmp/m/f; rm /tmp/m/f; echo x > /tmp/m/g && cat /tmp/m/g';
    const r = bash(platform, script);
    expect(r.stdout).toBe('1048576\nx\n');
    expect(r.stderr).toContain('No space left');
  });

  test('sockets end before the kernel has no more descriptors for files and processes', () => {
    const program = [
      'import socket, mmap, subprocess',
      'def until(make, kept):',
      '  try:',
      '    while True: kept.append(make())',
      '  except OSError as e: print(e.errno)',
      'until(lambda: socket.socket(socket.AF_INET), sockets := [])',
      'until(lambda: mmap.mmap(-1, 4096), [])',
      'print(len(sockets) > 500, open("/etc/passwd").readable(), subprocess.run(["/bin/cat", "/etc/hostname"]).returncode)',
    ].join('\n');
    const command = `ulimit -n 2100; exec "$0" --platform ${platform} do -- python3 -c '${program}'`;
    const r = run('/bin/bash', ['-c', command, runscTs], { cwd: '/' });
    expect(r).toMatchObject({ stderr: '', status: 0 });
    expect(r.stdout).toMatch(/^23\n23\n.*\nTrue True 0\n$/);
  });

  test('descriptors end at RLIMIT_NOFILE', () => {
    const script = `ulimit -n 20; python3 -c '
import os
n = 0
try:
    while True: os.open("/dev/null", os.O_RDONLY); n += 1
except OSError as e: print(n + 3, e.errno)'`;
    expect(bash(platform, script).stdout).toBe('20 24\n');
  });
});
