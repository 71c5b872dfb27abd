/** Mount options of proc (fs/proc/root.c; proc(5)). */
import { EINVAL } from '../../abi/errno.ts';
import type { UserNamespace } from '../../auth/credentials.ts';
import { parseInteger } from '../kernfs/parse.ts';

// enum proc_hidepid
export const HIDEPID_NO_ACCESS = 1;
export const HIDEPID_INVISIBLE = 2;
export const HIDEPID_NOT_PTRACEABLE = 4;

const HIDEPID_NAMES = ['off', 'noaccess', 'invisible', '', 'ptraceable'];

export class ProcOptions {
  hidePid = 0;
  /** Who sees all processes nevertheless. */
  gid = 0;
  /** subset=pid: nothing but processes. */
  pidOnly = false;

  /** Takes over mount(2)'s data: 0 or −EINVAL. `gid` is a number of `userNs`. */
  parse(data: string, userNs: UserNamespace | null): number {
    for (const option of data.split(',')) {
      if (option === '') continue;
      const eq = option.indexOf('=');
      if (eq < 0 || !this.set(option.slice(0, eq), option.slice(eq + 1), userNs)) return -EINVAL;
    }
    return 0;
  }

  private set(key: string, value: string, userNs: UserNamespace | null): boolean {
    switch (key) {
      case 'hidepid': {
        const named = value === '' ? -1 : HIDEPID_NAMES.indexOf(value);
        const level = named >= 0 ? named : parseInteger(value, 0);
        this.hidePid = level;
        return level >= 0 && level < HIDEPID_NAMES.length && HIDEPID_NAMES[level] !== '';
      }
      case 'gid': {
        const gid = parseInteger(value, 0);
        this.gid = userNs === null ? gid : userNs.toGid(gid);
        return gid >= 0 && this.gid >= 0;
      }
      case 'subset':
        // "pid" any number of times, with colons between.
        this.pidOnly = value.split(':').every((v) => v === 'pid');
        return this.pidOnly;
      default:
        return false;
    }
  }

  /** proc_show_options() */
  toString(): string {
    let text = this.gid !== 0 ? `,gid=${this.gid}` : '';
    if (this.hidePid !== 0) text += `,hidepid=${HIDEPID_NAMES[this.hidePid]!}`;
    return this.pidOnly ? `${text},subset=pid` : text;
  }
}
