// The sandbox on a terminal: script(1) gives it one, commands are typed into it.
import { spawn } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { platforms, runscTs } from '../lib/sandbox.ts';

type Step = readonly [waitFor: string, type: string];

/** Types each text once `waitFor` has appeared after the previous one; returns the screen and the exit status. */
function onTerminal(command: string, steps: readonly Step[]): Promise<{ screen: string; status: number }> {
  return new Promise((resolve, reject) => {
    const child = spawn('script', ['-qec', `stty rows 24 cols 80; exec ${command}`, '/dev/null'], {
      env: { PATH: process.env['PATH'], TERM: 'dumb', HOME: '/' },
    });
    let screen = '';
    let seen = 0;
    let next = 0;
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`step ${next} of ${steps.length}, the screen is:\n${screen}`));
    }, 90_000);
    child.stdout.on('data', (data: Buffer) => {
      screen += data.toString('latin1').replaceAll('\r', '');
      for (;;) {
        const step = steps[next];
        const at = step === undefined ? -1 : screen.indexOf(step[0], seen);
        if (step === undefined || at < 0) return;
        seen = at + step[0].length;
        next++;
        // A shell that has announced its job still has to run it.
        if (step[1] < ' ') setTimeout(() => child.stdin.write(step[1], 'latin1'), 700);
        else child.stdin.write(step[1], 'latin1');
      }
    });
    child.on('close', (status) => {
      clearTimeout(timer);
      resolve({ screen, status: status ?? -1 });
    });
  });
}

describe.each(platforms)('on %s', (platform) => {
  const run = `${runscTs} --platform ${platform} do --`;

  test('the terminal is the console, has the size, and passes the exit status', async () => {
    const { screen, status } = await onTerminal(
      `${run} sh -c "tty; stty size; ls -l /dev/tty | cut -c1; exit 7"`,
      [],
    );
    expect(screen).toBe('/dev/console\n24 80\nc\n');
    expect(status).toBe(7);
  });

  test('a shell has job control: stop, background, interrupt', async () => {
    const { screen, status } = await onTerminal(`${run} bash --norc --noprofile --noediting`, [
      ['# ', 'PS1="ready> "\n'],
      ['\nready> ', 'sh -c "echo on; exec sleep 300"\n'],
      ['\non', '\x1a'],
      ['Stopped', ''],
      ['ready> ', 'bg %1; jobs\n'],
      ['Running', ''],
      ['ready> ', 'kill %1; wait %1; echo "was $?"\n'],
      ['was 143', ''],
      ['ready> ', 'sh -c "echo on; exec cat"\n'],
      ['\non', '\x03'],
      ['ready> ', 'echo "after $?"\n'],
      ['after 130', ''],
      ['ready> ', 'exit 4\n'],
    ]);
    expect(screen).toContain('[1]+  Stopped');
    expect(status, screen).toBe(4);
  });

  test('stop and continue by the shell outside', async () => {
    const { screen, status } = await onTerminal('bash --norc --noprofile --noediting', [
      ['# ', 'PS1="outside> "\n'],
      ['\noutside> ', `${run} sh -c "echo begin; sleep 3; echo end"\n`],
      ['\nbegin', '\x1a'],
      ['Stopped', 'fg\n'],
      ['\nend', 'exit 0\n'],
    ]);
    expect(screen).toContain('[1]+  Stopped');
    expect(status).toBe(0);
  });

  test('raw mode reaches the host terminal and comes back', async () => {
    const { screen } = await onTerminal(
      `${run} sh -c "stty raw -echo; echo go; dd bs=1 count=3 2>/dev/null | od -c; stty sane; stty -a | tail -1"`,
      [['go', 'a\x03\r']],
    );
    expect(screen).toContain('a 003  \\r');
    expect(screen).toContain('echoctl');
  });

  test('nothing can be typed into the host terminal', async () => {
    const perl = `for (0x5412, 0x541c, 0x5423) { $c = "x\\0\\0\\0"; print ioctl(STDIN, $_, $c) ? "done" : "refused", " " }`;
    const { screen } = await onTerminal(`${run} perl -e '${perl}'`, []);
    expect(screen).toBe('refused refused refused ');
  });

  test('programs make terminals of their own', async () => {
    const { screen, status } = await onTerminal(`${run} script -qec "tty; stty size; exit 5" /dev/null`, []);
    expect(screen).toBe('/dev/pts/0\n24 80\n');
    expect(status).toBe(5);
  });
});
