/** landlock_create_ruleset(2), landlock_add_rule(2), landlock_restrict_self(2) (security/landlock/syscalls.c): the third version. */
import { E2BIG, EBADF, EBADFD, EFAULT, EINVAL, ENOMSG, EPERM } from '../sentry/abi/errno.ts';
import { O_PATH, O_RDWR } from '../sentry/abi/fcntl.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { CAP_SYS_ADMIN } from '../sentry/auth/capability.ts';
import { anonInode } from '../sentry/fsimpl/anon/anon-inode.ts';
import { fd, hex, int, ptr, size, type SysResult, type SyscallRow } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { FileDescription } from '../sentry/vfs/file-description.ts';
import { ACCESS_ALL, ACCESS_FILE, LandlockDomain, MAX_LAYERS, Ruleset } from '../sentry/vfs/landlock.ts';
import { installFd } from './fd-install.ts';

const LANDLOCK_ABI_VERSION = 3;
const LANDLOCK_CREATE_RULESET_VERSION = 1;
const LANDLOCK_RULE_PATH_BENEATH = 1;
/** struct landlock_ruleset_attr: handled_access_fs; struct landlock_path_beneath_attr: allowed_access, parent_fd. */
const RULESET_ATTR_SIZE = 8;
const PATH_BENEATH_SIZE = 12;
const PAGE_SIZE = 4096;

class RulesetFile extends FileDescription {
  readonly rules: Ruleset;

  constructor(handled: number) {
    super(null, anonInode('landlock-ruleset'), O_RDWR);
    this.rules = new Ruleset(handled);
  }

  protected override release(): void {
    this.rules.release();
  }
}

const attr = Buffer.alloc(PAGE_SIZE);

function sysCreateRuleset(t: Task, a: SyscallArgs): SysResult {
  const addr = a.addr(0);
  const len = a.size(1);
  const flags = a.uint(2);
  if (flags !== 0) {
    const asks = flags === LANDLOCK_CREATE_RULESET_VERSION && addr === 0 && len === 0;
    return asks ? LANDLOCK_ABI_VERSION : -EINVAL;
  }
  if (addr === 0) return -EFAULT;
  if (len < RULESET_ATTR_SIZE) return -EINVAL;
  if (len > PAGE_SIZE) return -E2BIG;
  if (t.mem.copyIn(addr, attr, 0, len) !== 0) return -EFAULT;
  for (let i = RULESET_ATTR_SIZE; i < len; i++) if (attr[i] !== 0) return -E2BIG;
  const handled = attr.readUInt32LE(0);
  if ((handled & ~ACCESS_ALL) !== 0 || attr.readUInt32LE(4) !== 0) return -EINVAL;
  return handled === 0 ? -ENOMSG : installFd(t, new RulesetFile(handled), true);
}

function rulesetOf(t: Task, n: number): Ruleset | number {
  const f = t.fdTable.get(n);
  if (f === null || (f.flags & O_PATH) !== 0) return -EBADF;
  return f instanceof RulesetFile ? f.rules : -EBADFD;
}

function sysAddRule(t: Task, a: SyscallArgs): SysResult {
  if (a.uint(3) !== 0) return -EINVAL;
  const rules = rulesetOf(t, a.int(0));
  if (typeof rules === 'number') return rules;
  if (a.int(1) !== LANDLOCK_RULE_PATH_BENEATH) return -EINVAL;
  if (t.mem.copyIn(a.addr(2), attr, 0, PATH_BENEATH_SIZE) !== 0) return -EFAULT;
  const rights = attr.readUInt32LE(0);
  const high = attr.readUInt32LE(4);
  if (rights === 0 && high === 0) return -ENOMSG;
  if ((rights & ~rules.handled) !== 0 || high !== 0) return -EINVAL;
  const f = t.fdTable.getRaw(attr.readInt32LE(8));
  if (f === null) return -EBADF;
  if (f.path === null || f.path.mount.internal) return -EBADFD;
  if (!f.inode.isDir && (rights & ~ACCESS_FILE) !== 0) return -EINVAL;
  rules.add(f.inode, rights);
  return 0;
}

function sysRestrictSelf(t: Task, a: SyscallArgs): SysResult {
  if (!t.noNewPrivs && !t.creds.hasOwn(CAP_SYS_ADMIN)) return -EPERM;
  if (a.uint(1) !== 0) return -EINVAL;
  const rules = rulesetOf(t, a.int(0));
  if (typeof rules === 'number') return rules;
  const old = t.landlock;
  if (old !== null && old.layers.length === MAX_LAYERS) return -E2BIG;
  t.landlock = new LandlockDomain(old, rules.copy());
  old?.unref();
  return 0;
}

export const landlockRows: readonly SyscallRow[] = [
  {
    nr: 444,
    name: 'landlock_create_ruleset',
    fn: sysCreateRuleset,
    args: [ptr, size, hex],
    support: 'partial',
    note: 'version 3: no rules about ports, devices, signals and abstract sockets',
  },
  {
    nr: 445,
    name: 'landlock_add_rule',
    fn: sysAddRule,
    args: [fd, int, ptr, hex],
    support: 'partial',
    note: 'the same',
  },
  { nr: 446, name: 'landlock_restrict_self', fn: sysRestrictSelf, args: [fd, hex], support: 'full' },
];
