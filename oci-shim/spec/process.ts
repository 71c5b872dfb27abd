/** `process` of config.json (runtime-spec config.md, "Process"; config-linux.md for the Linux-only fields). */
import { readFileSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { CAPABILITY_NAMES } from '../../sentry/auth/capability-names.ts';
import type { ProcessConfig } from '../sandbox-config.ts';
import { UserError } from '../user-error.ts';
import type { Field } from './field.ts';
import { ownLimits } from './own-limits.ts';
import { ioPriority, scheduler } from './scheduler.ts';

const MAX_ID = 0xfffffffe;
/** RLIMIT_* numbers (include/uapi/asm-generic/resource.h). */
const RLIMITS = [
  'CPU', 'FSIZE', 'DATA', 'STACK', 'CORE', 'RSS', 'NPROC', 'NOFILE', 'MEMLOCK', 'AS', 'LOCKS', 'SIGPENDING', 'MSGQUEUE',
  'NICE', 'RTPRIO', 'RTTIME',
]; // prettier-ignore

/** RLIM_INFINITY as JSON.parse() delivers it. */
const UINT64_END = 2 ** 64;

/** Also what `exec --process` reads. */
export function processConfig(p: Field): ProcessConfig {
  p.only([
    'terminal', 'consoleSize', 'user', 'args', 'env', 'cwd', 'capabilities', 'rlimits', 'noNewPrivileges', 'oomScoreAdj',
    'apparmorProfile', 'selinuxLabel', 'scheduler', 'ioPriority', 'execCPUAffinity', 'commandLine',
  ]); // prettier-ignore
  p.ignore(['apparmorProfile', 'selinuxLabel'], 'security modules have no effect inside the sandbox');
  p.ignore(['execCPUAffinity'], 'has no effect inside the sandbox');
  p.refuse(['commandLine'], 'is for Windows containers');
  const args = p.strings('args');
  if (args.length === 0) throw new UserError('config.json: process.args (missing): must name a program');
  const cwd = p.string('cwd');
  if (!isAbsolute(cwd)) throw new UserError(`config.json: process.cwd "${cwd}": must be an absolute path`);
  const user = p.optionalObject('user');
  user?.only(['uid', 'gid', 'umask', 'additionalGids', 'username']);
  const size = p.optionalObject('consoleSize');
  size?.only(['height', 'width']);
  return {
    args,
    env: environment(p),
    cwd,
    uid: user?.integer('uid', 0, 0, MAX_ID) ?? 0,
    gid: user?.integer('gid', 0, 0, MAX_ID) ?? 0,
    additionalGids: user?.integers('additionalGids', 0, MAX_ID) ?? [],
    // As umask(2) does, "only the file permission bits" are used.
    umask: (user?.integer('umask', 0o22, 0, MAX_ID) ?? 0o22) & 0o777,
    capabilities: capabilities(p.optionalObject('capabilities')),
    rlimits: { ...ownLimits(), ...rlimits(p) },
    noNewPrivileges: p.boolean('noNewPrivileges', false),
    oomScoreAdj: p.integer('oomScoreAdj', p.has('oomScoreAdj') ? 0 : ownOomScore(), -1000, 1000),
    terminal: p.boolean('terminal', false),
    consoleSize:
      size === null
        ? null
        : { rows: size.integer('height', 0, 0, 0xffff), columns: size.integer('width', 0, 0, 0xffff) },
    scheduler: scheduler(p.optionalObject('scheduler')),
    ioPriority: ioPriority(p.optionalObject('ioPriority')),
    homeFromPasswd: true,
  };
}

/** "If oomScoreAdj is not set, the runtime MUST NOT change the value": the process has the runtime's. */
const ownOomScore = (): number => Number(readFileSync('/proc/self/oom_score_adj', 'latin1'));

/** The last setting of a name counts, at the place of the first, as for runc: programs disagree on which of two they see. */
function environment(p: Field): string[] {
  const byName = new Map<string, string>();
  for (const e of p.strings('env')) {
    const eq = e.indexOf('=');
    if (eq < 0) throw new UserError(`invalid environment variable: ${JSON.stringify(e)}`);
    if (eq === 0) throw new UserError(`environment variable name can't be empty: ${JSON.stringify(e)}`);
    const name = e.slice(0, eq);
    byName.set(name, e);
  }
  return [...byName.values()];
}

function capabilities(c: Field | null): ProcessConfig['capabilities'] {
  c?.only(['bounding', 'effective', 'inheritable', 'permitted', 'ambient']);
  const unknown = new Set<string>();
  const set = (kind: string): number[] => {
    const bits: number[] = [];
    for (const name of c?.strings(kind) ?? []) {
      const bit = CAPABILITY_NAMES.indexOf(name);
      if (bit < 0) unknown.add(name);
      else bits.push(bit);
    }
    return bits;
  };
  const sets = {
    bounding: set('bounding'),
    effective: set('effective'),
    inheritable: set('inheritable'),
    permitted: set('permitted'),
    ambient: set('ambient'),
  };
  if (unknown.size > 0) {
    c!.warnings.push(`ignoring unknown or unavailable capabilities: [${[...unknown].sort().join(' ')}]`);
  }
  // capset(2): EPERM.
  if (sets.effective.some((bit) => !sets.permitted.includes(bit))) {
    throw new UserError('config.json: process.capabilities.effective: must be a subset of permitted');
  }
  if (sets.inheritable.some((bit) => !sets.bounding.includes(bit))) {
    throw new UserError('config.json: process.capabilities.inheritable: must be a subset of bounding');
  }
  return sets;
}

function rlimits(p: Field): ProcessConfig['rlimits'] {
  const limits: ProcessConfig['rlimits'] = {};
  for (const r of p.objects('rlimits')) {
    r.only(['type', 'soft', 'hard']);
    const type = r.string('type');
    const nr = type.startsWith('RLIMIT_') ? RLIMITS.indexOf(type.slice(7)) : -1;
    if (nr < 0) throw new UserError(`config.json: ${r.name}.type: invalid rlimit type: ${type}`);
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
  const v = r.integer(key, 0, 0, UINT64_END);
  return v > Number.MAX_SAFE_INTEGER ? -1 : v;
}
