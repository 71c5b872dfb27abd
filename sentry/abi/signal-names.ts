/** Signal numbers of x86-64 Linux by name (arch/x86/include/uapi/asm/signal.h). */
const NAMES = [
  '', 'HUP', 'INT', 'QUIT', 'ILL', 'TRAP', 'ABRT', 'BUS', 'FPE', 'KILL', 'USR1', 'SEGV', 'USR2', 'PIPE', 'ALRM', 'TERM',
  'STKFLT', 'CHLD', 'CONT', 'STOP', 'TSTP', 'TTIN', 'TTOU', 'URG', 'XCPU', 'XFSZ', 'VTALRM', 'PROF', 'WINCH', 'IO', 'PWR',
  'SYS',
]; // prettier-ignore

/** `SIGINT`, `SIGRT_3` for real-time ones, the number for anything else. */
export function signalName(signo: number): string {
  if (signo >= 1 && signo < NAMES.length) return `SIG${NAMES[signo]}`;
  return signo >= 32 && signo <= 64 ? `SIGRT_${signo - 32}` : String(signo);
}

/** Number of `TERM`, `SIGTERM` or `15`; −1 if unknown. */
export function signalNumber(name: string): number {
  if (/^\d+$/.test(name)) return Number(name) <= 64 ? Number(name) : -1;
  const bare = name.toUpperCase().replace(/^SIG/, '');
  return bare === '' ? -1 : NAMES.indexOf(bare);
}
