/** Options as the flag package of Go takes them, and with it runc's callers write them: `--detach=true`, `-bundle DIR`. */
import type { Command, Option } from 'commander';

/** As strconv.ParseBool takes them. */
export const TRUE: readonly string[] = ['true', 'TRUE', 'True', '1', 't', 'T'];
export const FALSE: readonly string[] = ['false', 'FALSE', 'False', '0', 'f', 'F'];

/** `argv` as commander takes it, up to the first argument of a command. */
export function fromGoFlags(program: Command, argv: readonly string[]): string[] {
  const out: string[] = [];
  let command = program;
  let at = 0;
  for (; at < argv.length; at++) {
    const arg = argv[at]!;
    if (arg === '--') break;
    if (!arg.startsWith('-')) {
      const next = command === program ? program.commands.find((c) => c.name() === arg) : undefined;
      if (next === undefined) break;
      command = next;
      out.push(arg);
      continue;
    }
    const [, name, value] = /^--?([^=]*)(?:=(.*))?$/s.exec(arg)!;
    const option = command.options.find((o) => o.long === `--${name}`);
    if (takesWord(option) && option?.defaultValue === undefined && (value ?? argv[at + 1]) === '') {
      // As if it were not there: Go has no other value for what is not given.
      if (value === undefined) at++;
    } else if (option === undefined) {
      out.push(arg);
      if (takesWord(command.options.find((o) => o.short === arg))) out.push(...argv.slice(++at, at + 1));
    } else if (value === undefined) {
      out.push(`--${name}`);
      if (takesWord(option)) out.push(...argv.slice(++at, at + 1));
    } else if (option.required || option.optional) out.push(`--${name}=${value}`);
    else if (TRUE.includes(value)) out.push(`--${name}`);
    else if (!FALSE.includes(value)) out.push(arg); // an error
  }
  return [...out, ...argv.slice(at)];
}

const takesWord = (option: Option | undefined): boolean => option?.required === true;
