import { Command } from 'commander';
import { expect, test } from 'vitest';
import { fromGoFlags } from './go-flags.ts';

const program = new Command('p')
  .option('--root <dir>')
  .option('--debug')
  .option('--strace [calls]')
  .addCommand(
    new Command('exec')
      .option('-d, --detach')
      .option('--no-new-privs')
      .option('-e, --env <name=value>', 'repeatable', (v, all: string[]) => [...all, v], [])
      .option('--cwd <dir>')
      .argument('<id>'),
  );

test.each([
  ['--debug=true exec --detach=1 c1', '--debug exec --detach c1'],
  ['--debug=false exec --detach=F --no-new-privs=t c1', 'exec --no-new-privs c1'],
  ['-debug -root /x exec -detach -d c1', '--debug --root /x exec --detach -d c1'],
  ['--root=/x exec -env=A=b c1', '--root=/x exec --env=A=b c1'],
  ['--root --debug=false exec c1', '--root --debug=false exec c1'],
  ['--strace=read exec -e --detach=true c1', '--strace=read exec -e --detach=true c1'],
  ['exec --detach=perhaps c1', 'exec --detach=perhaps c1'],
  ['exec -- --detach=true', 'exec -- --detach=true'],
  ['exec c1 prog --detach=true -root', 'exec c1 prog --detach=true -root'],
  ['nosuch --debug=true', 'nosuch --debug=true'],
  ['--unknown=true -x exec', '--unknown=true -x exec'],
])('%s', (given, meant) => {
  expect(fromGoFlags(program, given.split(' '))).toEqual(meant.split(' '));
});

test('an empty value is as none, unless an option may be repeated', () => {
  const given = ['--root', '', 'exec', '--cwd=', '--cwd', '', '--env', '', '--detach', 'c1', ''];
  expect(fromGoFlags(program, given)).toEqual(['exec', '--env', '', '--detach', 'c1', '']);
});
