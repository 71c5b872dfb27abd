// Terminals of engines: the pty's master comes over the console socket, size and signals go in through it.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Engine, spec, until } from '../lib/oci.ts';
import { platforms } from '../lib/sandbox.ts';

/**
 * An engine's side: waits for the terminal, then reads commands: `size ROWS COLUMNS`, or text to type. Prints what it shows
 * until it hangs up.
 */
const ENGINE = `
import array, fcntl, os, select, socket, struct, sys, termios
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("listening", flush=True)
connection, _ = listener.accept()
_, fds, _, _ = socket.recv_fds(connection, 1024, 4)
master = fds[0]
print("size %d %d" % struct.unpack("HHHH", fcntl.ioctl(master, termios.TIOCGWINSZ, bytes(8)))[:2], flush=True)
inputs = [master, sys.stdin]
while True:
    ready, _, _ = select.select(inputs, [], [])
    if master in ready:
        try:
            data = os.read(master, 4096)
        except OSError:
            break
        sys.stdout.buffer.write(data.replace(b"\\r", b""))
        sys.stdout.flush()
    if sys.stdin in ready:
        line = sys.stdin.readline()
        if line == "":
            inputs.remove(sys.stdin)
        elif line.startswith("size "):
            _, rows, columns = line.split()
            fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", int(rows), int(columns), 0, 0))
        else:
            os.write(master, line.encode().decode("unicode_escape").encode())
print("hangup", flush=True)
`;

describe.each(platforms)('on %s', (platform) => {
  let engine: Engine;
  beforeEach(() => {
    engine = new Engine(platform);
  });
  afterEach(() => engine.close());

  async function console(name: string) {
    const socket = join(engine.dir, name);
    const child = spawn('python3', ['-u', '-c', ENGINE, socket], { stdio: ['pipe', 'pipe', 'inherit'] });
    const screen = { text: '' };
    child.stdout.on('data', (d: Buffer) => (screen.text += d.toString()));
    await until(() => screen.text.includes('listening\n'));
    const shows = (text: string) =>
      until(() => screen.text.includes(text)).catch(() => expect(screen.text).toContain(text));
    return { socket, screen, shows, type: (line: string) => child.stdin.write(`${line}\n`) };
  }

  const SCRIPT = [
    'tty',
    'stty size',
    'trap "stty size; echo resized" WINCH',
    'trap "echo interrupted" INT',
    'trap "exit 8" TERM',
    'echo ready',
    'read line && echo "got $line"',
    'while :; do sleep 0.1; done',
  ].join('; ');

  function withTerminal(script: string): ReturnType<typeof spec> {
    const config = spec(['sh', '-c', script]);
    config.process['terminal'] = true;
    config.process['consoleSize'] = { height: 33, width: 99 };
    return config;
  }

  test('of a container: size, input, resizing, ^C, hang-up at the end', async () => {
    const { socket, screen, shows, type } = await console('c');
    engine.detached(
      'create',
      '--bundle',
      engine.bundle('b', withTerminal(SCRIPT)),
      '--console-socket',
      socket,
      'c1',
    );
    await shows('size 33 99\n');
    engine.ok('start', 'c1');
    await shows('/dev/pts/0\n33 99\nready\n');
    type('some text\\n');
    await shows('got some text\n');
    type('size 40 120');
    await shows('40 120\nresized\n');
    type('\\x03');
    await shows('interrupted\n');
    engine.ok('kill', 'c1', 'TERM');
    await shows('hangup\n');
    expect(screen.text).toContain('^C');
  });

  test('of a container is its /dev/console', async () => {
    const { socket, shows } = await console('c');
    const script = [
      'stat -c "%t %F" /dev/console',
      'echo written > /dev/console',
      'grep -c " /dev/console " /proc/self/mountinfo',
      'sleep 1000',
    ].join('; ');
    const bundle = engine.bundle('b', withTerminal(script));
    engine.detached('run', '--detach', '--bundle', bundle, '--console-socket', socket, 'c1');
    await shows('88 character special file\nwritten\n1\n');
    engine.ok('kill', 'c1', 'KILL');
    await shows('hangup\n');
  });

  test('of an exec', async () => {
    engine.detached('run', '--detach', '--bundle', engine.bundle('b', spec(['sleep', '1000'])), 'c1');
    const { socket, shows, type } = await console('e');
    engine.detached('exec', '--tty', '--detach', '--console-socket', socket, 'c1', 'sh', '-c', SCRIPT);
    await shows('size 0 0\n/dev/pts/0\n');
    await shows('ready\n');
    const second = await console('e2');
    engine.detached('exec', '--tty', '--detach', '--console-socket', second.socket, 'c1', 'tty');
    await second.shows('/dev/pts/1\n');
    await second.shows('hangup\n');
    type('x\\n');
    await shows('got x\n');
    type('size 40 120');
    await shows('40 120\nresized\n');
    engine.ok('kill', 'c1', 'KILL');
    await shows('hangup\n');
  });

  test('a terminal needs a console socket, and the other way round', () => {
    const terminal = engine.bundle('t', withTerminal('true'));
    expect(engine.call('create', '--bundle', terminal, 'c1').stderr).toContain(
      'without setting console socket',
    );
    const none = engine.bundle('n', spec(['true']));
    const r = engine.call('create', '--bundle', none, '--console-socket', '/nosuch', 'c1');
    expect(r.stderr).toContain('cannot use console socket');
    const nobody = engine.call('create', '--bundle', terminal, '--console-socket', '/nosuch', 'c1');
    expect(nobody.stderr).toContain('cannot connect to the console socket /nosuch: ENOENT');
    expect(engine.ok('list', '-q')).toBe('');
  });
});
