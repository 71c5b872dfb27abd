/** `hooks` of config.json (runtime-spec config.md, "POSIX-platform Hooks"). */
import { isAbsolute } from 'node:path';
import type { Field } from '../spec/field.ts';

export const HOOK_KINDS = [
  'prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart', 'poststop',
] as const; // prettier-ignore

export type HookKind = (typeof HOOK_KINDS)[number];

export interface Hook {
  /** Absolute path, on the host, or in the container for startContainer. */
  path: string;
  /** argv; argv[0] may differ from the path. Empty: the path alone. */
  args: string[];
  /** The whole environment; null: what it has that starts the hook. */
  env: string[] | null;
  /** Seconds; 0: no limit. */
  timeout: number;
}

export type Hooks = Record<HookKind, Hook[]>;

const TIMEOUT_MAX = 2 ** 31 - 1;

export function hooksConfig(hooks: Field | null): Hooks {
  hooks?.only(HOOK_KINDS);
  const list = (kind: HookKind): Hook[] => (hooks?.objects(kind) ?? []).map(hook);
  return {
    prestart: list('prestart'),
    createRuntime: list('createRuntime'),
    createContainer: list('createContainer'),
    startContainer: list('startContainer'),
    poststart: list('poststart'),
    poststop: list('poststop'),
  };
}

function hook(h: Field): Hook {
  h.only(['path', 'args', 'env', 'timeout']);
  const path = h.string('path');
  if (!isAbsolute(path)) h.bad('path', 'must be an absolute path');
  const timeout = h.has('timeout') ? h.integer('timeout', 0, 1, TIMEOUT_MAX) : 0;
  return { path, args: h.strings('args'), env: h.has('env') ? h.strings('env') : null, timeout };
}
