/** `#!` lines (fs/binfmt_script.c load_script()). */

/** BINPRM_BUF_SIZE: how much of a file is looked at. */
export const BINPRM_BUF_SIZE = 256;

export interface ScriptLine {
  interpreter: string;
  /** Everything after the interpreter as one argument, or null. */
  argument: string | null;
}

const isBlank = (c: string): boolean => c === ' ' || c === '\t';

/**
 * The interpreter line of `head`, the first bytes of a file padded with zeros to 256; null: not a script or not a valid one
 * (ENOEXEC).
 */
export function parseScript(head: string): ScriptLine | null {
  if (!head.startsWith('#!')) return null;
  let end = head.indexOf('\n');
  if (end < 0) {
    // Without a newline the interpreter's name must end inside the buffer, or it may be cut off.
    let i = 2;
    while (i < BINPRM_BUF_SIZE && isBlank(head[i]!)) i++;
    while (i < BINPRM_BUF_SIZE && !isBlank(head[i]!) && head[i] !== '\0') i++;
    if (i >= BINPRM_BUF_SIZE) return null;
    end = BINPRM_BUF_SIZE - 1;
  }
  let at = 2;
  while (at < end && isBlank(head[at]!)) at++;
  // What ends at once is the empty name.
  if (at < end && head[at] === '\0') return { interpreter: '', argument: null };
  const nul = head.indexOf('\0');
  if (nul >= 0 && nul < end) end = nul;
  while (end > 2 && isBlank(head[end - 1]!)) end--;
  if (at >= end) return null;
  let stop = at;
  while (stop < end && !isBlank(head[stop]!)) stop++;
  const interpreter = head.slice(at, stop);
  while (stop < end && isBlank(head[stop]!)) stop++;
  return { interpreter, argument: stop < end ? head.slice(stop, end) : null };
}
