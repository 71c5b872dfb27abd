/**
 * Coming to a container's streams and leaving them: attach, start -ai, detaching by keys, signals that the client passes on. Told
 * under runc and under runsc-ts by the same dockerd.
 */
import { run } from '../lib/sandbox.ts';
import { tellStories, type Container, type Story } from './lib/stories.ts';
import { onTerminal } from './lib/terminal.ts';

/** What a shell asks until the container has written `text`. */
const logged = (c: Container, text: string): string =>
  `docker --host ${c.daemon.host} logs ${c.name} 2>/dev/null | grep -q '${text}'`;

const state = (c: Container): string => c.inspect('.State.Status') + c.inspect('.State.ExitCode');

/** What the container wrote, as its terminal has it. */
const log = (c: Container): string => c.docker('logs', c.name).stdout;

const CTRL_P_Q = '\\020\\021';

const stories: Readonly<Record<string, Story>> = {
  'detaching by keys, attaching again': (c) => {
    const script = 'echo ready; read l; echo got $l; read l; exit 5';
    const detached = onTerminal(
      c.daemon,
      `run -it --name ${c.name} --runtime ${c.runtime} busybox sh -c '${script}'`,
      '',
      [{ when: logged(c, 'ready'), keys: CTRL_P_Q }],
    );
    const told = [detached.status, state(c)];
    const again = onTerminal(c.daemon, `attach ${c.name}`, '', [
      { when: 'true', keys: 'hello\\n' },
      { when: logged(c, 'got hello'), keys: CTRL_P_Q },
    ]);
    told.push(again.status, state(c));
    const other = onTerminal(c.daemon, `attach --detach-keys ctrl-a ${c.name}`, '', [
      { when: 'true', keys: '\\001' },
    ]);
    told.push(other.status, state(c));
    const last = onTerminal(c.daemon, `attach ${c.name}`, '', [{ when: 'true', keys: 'x\\n' }]);
    return [...told, last.status, state(c), log(c)];
  },
  'start -ai on a terminal': (c) => {
    const script = 'echo ready; read l; echo got $l; exit 6';
    c.docker('create', '-it', '--name', c.name, '--runtime', c.runtime, 'busybox', 'sh', '-c', script);
    const r = onTerminal(c.daemon, `start -ai ${c.name}`, '', [
      { when: logged(c, 'ready'), keys: 'again\\n' },
    ]);
    return [r.status, state(c), log(c)];
  },
  'an exec lives on when its keys detach from it': (c) => {
    c.run(['--detach'], 'sleep', '1000');
    const script = 'touch /tmp/up; until test -e /tmp/go; do sleep 0.1; done; touch /tmp/end; sleep 1000';
    const r = onTerminal(c.daemon, `exec -it --detach-keys ctrl-x,x ${c.name} sh -c '${script}'`, '', [
      { when: `docker --host ${c.daemon.host} exec ${c.name} test -e /tmp/up`, keys: '\\030x' },
    ]);
    c.exec('touch', '/tmp/go');
    c.holds('test -e /tmp/end');
    return [r.status, state(c)];
  },
  'keys that make signals': (c) => {
    const trap = 'n=$((n+1)); echo int $n; test $n = 2 && exit 4';
    const script = `n=0; trap "${trap.replaceAll('$', '\\$')}" INT; echo ready; while :; do sleep 0.1; done`;
    const run = `run -it --name ${c.name} --runtime ${c.runtime} busybox sh -c '${script}'`;
    const r = onTerminal(c.daemon, run, '', [
      { when: logged(c, 'ready'), keys: '\\003' },
      { when: logged(c, 'int 1'), keys: '\\003' },
    ]);
    return [r.status, state(c), log(c)];
  },
  'signals that the client passes on': (c) => {
    const script =
      'trap "echo usr1" USR1; trap "echo term; exit 7" TERM; echo ready; while :; do sleep 0.1; done';
    const host = `docker --host ${c.daemon.host}`;
    const client = `${host} run --name ${c.name} --runtime ${c.runtime} busybox sh -c '${script}' & p=$!`;
    const send = (signal: string, when: string): string =>
      `until ${logged(c, when)}; do sleep 0.1; done; kill -${signal} $p`;
    const r = run('bash', ['-c', `${client}; ${send('USR1', 'ready')}; ${send('TERM', 'usr1')}; wait $p`], {
      timeoutMs: 300_000,
    });
    return [r.status, r.stdout, state(c)];
  },
  'attaching without a terminal': (c) => {
    const script = 'while read l; do echo got $l; test $l = end && exit 3; done; echo eof';
    c.run(['--detach', '--interactive'], 'sh', '-c', script);
    // What it writes may come before the client listens.
    const { status } = c.daemon.docker(['attach', c.name], { input: 'one\nend\n' });
    return [status, state(c), log(c)];
  },
};

tellStories('attaching and detaching', stories, { script: 'bsdutils' }, { every: 2 });
