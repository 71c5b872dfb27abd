/** `process` of config.json. */
import { isAbsolute } from 'node:path';
import { CAPABILITY_NAMES } from '../../sentry/auth/capability-names.ts';
import type { ProcessConfig } from '../sandbox-config.ts';
import { UserError } from '../user-error.ts';
import type { Field } from './field.ts';

const MAX_ID = 0xfffffffe;

/** RLIMIT_* numbers (include/uapi/asm-generic/resource.h). */
const RLIMITS = [
  'CPU', 'FSIZE', 'DATA', 'STACK', 'CORE', 'RSS', 'NPROC', 'NOFILE', 'MEMLOCK', 'AS', 'LOCKS', 'SIGPENDING', 'MSGQUEUE',
  'NICE', 'RTPRIO', 'RTTIME',
]; // prettier-ignore

export function processConfig(p: Field): ProcessConfig {
  p.only([
    'terminal', 'consoleSize', 'user', 'args', 'env', 'cwd', 'capabilities', 'rlimits', 'noNewPrivileges', 'oomScoreAdj',
    'apparmorProfile', 'selinuxLabel',
  ]); // prettier-ignore
  const args = p.strings('args');
  if (args.length === 0) throw new UserError('config.json: process.args (missing): must name a program');
  const cwd = p.string('cwd');
  if (!isAbsolute(cwd)) throw new UserError(`config.json: process.cwd "${cwd}": must be an absolute path`);
  const user = p.optionalObject('user');
  user?.only(['uid', 'gid', 'umask', 'additionalGids']);
  return {
    args,
    env: p.strings('env'),
    cwd,
    uid: user?.integer('uid', 0, 0, MAX_ID) ?? 0,
    gid: user?.integer('gid', 0, 0, MAX_ID) ?? 0,
    additionalGids: user?.integers('additionalGids', 0, MAX_ID) ?? [],
    umask: user?.integer('umask', 0o22, 0, 0o777) ?? 0o22,
    capabilities: capabilities(p.optionalObject('capabilities')),
    rlimits: rlimits(p),
    noNewPrivileges: p.boolean('noNewPrivileges', false),
    oomScoreAdj: p.integer('oomScoreAdj', 0, -1000, 1000),
    terminal: p.boolean('terminal', false),
  };
}

function capabilities(c: Field | null): ProcessConfig['capabilities'] {
  const set = (kind: string): number[] =>
    (c?.strings(kind) ?? []).map((name) => {
      const bit = CAPABILITY_NAMES.indexOf(name);
      if (bit < 0)
        throw new UserError(`config.json: process.capabilities.${kind} "${name}": no such capability`);
      return bit;
    });
  return {
    bounding: set('bounding'),
    effective: set('effective'),
    inheritable: set('inheritable'),
    permitted: set('permitted'),
    ambient: set('ambient'),
  };
}

function rlimits(p: Field): ProcessConfig['rlimits'] {
  const limits: ProcessConfig['rlimits'] = {};
  for (const r of p.objects('rlimits')) {
    const type = r.string('type');
    const nr = RLIMITS.indexOf(type.replace(/^RLIMIT_/, ''));
    if (nr < 0) throw new UserError(`config.json: ${r.name}.type "${type}": no such resource limit`);
    if (limits[nr] !== undefined) throw new UserError(`config.json: ${r.name}.type "${type}": given twice`);
    const soft = limitValue(r, 'soft');
    const hard = limitValue(r, 'hard');
    if (hard >= 0 && (soft < 0 || soft > hard)) {
      throw new UserError(`config.json: ${r.name}.soft ${soft}: must not exceed hard ${hard}`);
    }
    limits[nr] = { soft, hard };
  }
  return limits;
}

/** RLIM_INFINITY (2^64−1, or anything that JSON cannot hold exactly) is −1. */
function limitValue(r: Field, key: string): number {
  const v = r.integer(key, 0, 0, 2 ** 64);
  return v > Number.MAX_SAFE_INTEGER ? -1 : v;
}
