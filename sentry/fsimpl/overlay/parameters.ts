/** Options of overlayfs for mount(2) and fsconfig(2), judged one by one as they come (fs/overlayfs/params.c). */
import { EINVAL, EPERM } from '../../abi/errno.ts';
import { CAP_SYS_ADMIN } from '../../auth/capability.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { holdPath, putPath, type Path } from '../../vfs/dentry.ts';
import type { ParameterValue } from '../../vfs/fs-types.ts';
import { LOOKUP_FOLLOW, nd, walk } from '../../vfs/walk.ts';

const OVL_MAX_STACK = 500;

export interface Layer {
  readonly path: Path;
  /** As it was given. */
  readonly name: string;
}

type Redirect = 'on' | 'follow' | 'nofollow';

const CHOICES = new Map<string, readonly string[]>([
  ['redirect_dir', ['off', 'follow', 'nofollow', 'on']],
  ['index', ['on', 'off']],
  ['uuid', ['off', 'null', 'auto', 'on']],
  ['nfs_export', ['on', 'off']],
  ['xino', ['off', 'auto', 'on']],
  ['metacopy', ['on', 'off']],
  ['verity', ['off', 'on', 'require']],
  ['fsync', ['volatile', 'ordered', 'strict']],
]);
const FLAGS: readonly string[] = ['default_permissions', 'userxattr', 'volatile'];

/** ovl_unescape(): a backslash stands before what would be special. */
function unescape(s: string): string {
  let out = '';
  for (let i = 0; i < s.length; i++) {
    if (s[i] === '\\') i++;
    out += s[i] ?? '';
  }
  return out;
}

/** The layers of `lowerdir=`, still escaped, and where those for data only begin; −EINVAL. */
function splitLayers(s: string): { names: string[]; data: number } | number {
  const names: string[] = [];
  let data = 0;
  let name = '';
  for (let i = 0; i <= s.length; i++) {
    const c = s[i];
    if (c === '\\') {
      name += c + (s[++i] ?? '');
      continue;
    }
    if (c !== undefined && c !== ':') {
      name += c;
      continue;
    }
    if (name === '') return -EINVAL;
    names.push(name);
    name = '';
    if (c === undefined) break;
    const isData = s[i + 1] === ':';
    if (isData) i++;
    else if (data > 0) return -EINVAL;
    if (isData) data++;
  }
  return { names, data };
}

/** Splits mount(2)'s data at commas that have no backslash before them (ovl_next_opt). */
export function splitOptions(data: string): string[] {
  const options: string[] = [];
  let option = '';
  for (let i = 0; i < data.length; i++) {
    const c = data[i]!;
    if (c === '\\') option += c + (data[++i] ?? '');
    else if (c === ',') {
      options.push(option);
      option = '';
    } else option += c;
  }
  options.push(option);
  return options.filter((o) => o !== '');
}

/** seq_show_option() */
function shown(name: string, value: string): string {
  let text = '';
  for (const c of value) {
    text += ', \t\n\\'.includes(c) ? `\\${c.charCodeAt(0).toString(8).padStart(3, '0')}` : c;
  }
  return `,${name}=${text}`;
}

export class OverlayConfig {
  readonly lowers: Layer[] = [];
  /** The last so many of `lowers` are for data only. */
  dataLayers = 0;
  upper: Layer | null = null;
  work: Layer | null = null;
  /** `lowerdir=` as it was given; null if layers were added one by one. */
  private lowerdir: string | null = null;
  private readonly chosen = new Map<string, string>();
  redirect: Redirect = 'follow';
  metacopy = false;
  /** What is shown for uuid once it is known. */
  uuid = 'auto';

  /** Every place that was named. */
  private readonly held: Path[] = [];

  /** The mounts of the overlay keep what it needs. */
  release(): void {
    for (const p of this.held.splice(0)) putPath(p);
  }

  has(flag: string): boolean {
    return this.chosen.has(flag);
  }

  choice(key: string, byDefault: string): string {
    return this.chosen.get(key) ?? byDefault;
  }

  get volatile(): boolean {
    return this.has('volatile') || this.choice('fsync', '') === 'volatile';
  }

  /** ovl_parse_param(): 0 or −errno. */
  set(t: CallContext, key: string, value: ParameterValue): number {
    if (FLAGS.includes(key)) {
      if (value !== null && value !== '') return -EINVAL;
      this.chosen.set(key, '');
      return 0;
    }
    const choices = CHOICES.get(key);
    if (choices !== undefined) {
      if (typeof value !== 'string' || !choices.includes(value)) return -EINVAL;
      this.chosen.set(key, value);
      return 0;
    }
    if (value === null) return -EINVAL;
    switch (key) {
      case 'lowerdir':
        return typeof value === 'string' ? this.setLowers(t, value) : -EINVAL;
      case 'lowerdir+':
      case 'datadir+':
        return this.addLower(t, value, key === 'datadir+');
      case 'upperdir':
      case 'workdir': {
        const layer = this.find(t, value, true, true);
        if (typeof layer === 'number') return layer;
        if (key === 'upperdir') this.upper = layer;
        else this.work = layer;
        return 0;
      }
      default:
        return -EINVAL;
    }
  }

  private find(t: CallContext, value: string | Path, escaped: boolean, upper: boolean): Layer | number {
    let path: Path;
    let name = '';
    if (typeof value === 'string') {
      if (value === '') return -EINVAL;
      const r = walk(t, t.fs.cwd, escaped ? unescape(value) : value, LOOKUP_FOLLOW);
      if (r !== 0) return r;
      path = nd.path();
      name = value;
    } else {
      path = value;
    }
    if (!path.dentry.inode!.isDir) return -EINVAL;
    // "Check whether upper path is read-only here to report failures early."
    if (upper && path.mount.readOnly) return -EINVAL;
    this.held.push(holdPath(path));
    return { path, name };
  }

  private setLowers(t: CallContext, value: string): number {
    this.lowers.length = 0;
    this.dataLayers = 0;
    this.lowerdir = null;
    if (value === '') return 0;
    const split = splitLayers(value);
    if (typeof split === 'number') return split;
    if (split.names.length > OVL_MAX_STACK) return -EINVAL;
    const found: Layer[] = [];
    for (const name of split.names) {
      const layer = this.find(t, name, true, false);
      if (typeof layer === 'number') return layer;
      found.push(layer);
    }
    this.lowers.push(...found);
    this.dataLayers = split.data;
    this.lowerdir = value;
    return 0;
  }

  private addLower(t: CallContext, value: string | Path, data: boolean): number {
    const layer = this.find(t, value, false, false);
    if (typeof layer === 'number') return layer;
    if (this.lowers.length >= OVL_MAX_STACK || (!data && this.dataLayers > 0)) return -EINVAL;
    this.lowers.push(layer);
    this.lowerdir = null;
    if (data) this.dataLayers++;
    return 0;
  }

  /**
   * ovl_fs_params_verify(): what contradicts itself is refused. index, nfs_export and metacopy need file handles and attributes
   * of the layers that those here do not have: as in Linux they are then off, whatever was asked for. 0 or −errno.
   */
  verify(t: CallContext): number {
    const asked = (key: string): boolean => this.choice(key, 'off') === 'on';
    const off = (key: string): boolean => this.chosen.get(key) === 'off';
    const redirect = this.chosen.get('redirect_dir');
    this.redirect = redirect === undefined || redirect === 'off' ? 'follow' : (redirect as Redirect);
    if (this.choice('verity', 'off') !== 'off') {
      // "conflicting options: metacopy=off,verity=…"; fs-verity is missing otherwise.
      if (off('metacopy') || this.has('userxattr')) return -EINVAL;
    }
    if (this.upper === null && this.redirect === 'follow') this.redirect = 'on';
    if (asked('metacopy') && this.redirect !== 'on') {
      if (redirect !== undefined) return -EINVAL;
      this.redirect = 'on';
    }
    if (asked('nfs_export') && off('index') && this.upper !== null) return -EINVAL;
    if (asked('nfs_export') && asked('metacopy')) return -EINVAL;
    if (this.has('userxattr')) {
      if (redirect !== undefined && this.redirect !== 'nofollow') return -EINVAL;
      if (asked('metacopy')) return -EINVAL;
      this.redirect = 'nofollow';
    }
    if (!this.has('userxattr') && !t.creds.has(CAP_SYS_ADMIN)) {
      if (redirect !== undefined && this.redirect !== 'nofollow') return -EPERM;
      if (asked('metacopy')) return -EPERM;
      this.redirect = 'nofollow';
    }
    return this.choice('verity', 'off') === 'off' ? 0 : -EINVAL;
  }

  /** ovl_show_options() */
  show(sameFs: boolean): string {
    let text = '';
    if (this.lowerdir !== null) text += shown('lowerdir', this.lowerdir);
    else for (const l of this.lowers) text += shown('lowerdir+', l.name);
    if (this.upper !== null) {
      text += shown('upperdir', this.upper.name);
      text += shown('workdir', this.work!.name);
    }
    if (this.has('default_permissions')) text += ',default_permissions';
    if (this.redirect !== 'follow') text += `,redirect_dir=${this.redirect}`;
    if (this.uuid !== 'auto') text += `,uuid=${this.uuid}`;
    const xino = this.choice('xino', 'off');
    if (xino !== 'off' && !sameFs) text += `,xino=${xino}`;
    const fsync = this.volatile && this.upper !== null ? 'volatile' : this.choice('fsync', 'ordered');
    if (fsync !== 'ordered' && this.upper !== null) text += `,fsync=${fsync}`;
    if (this.has('userxattr')) text += ',userxattr';
    return text;
  }
}
