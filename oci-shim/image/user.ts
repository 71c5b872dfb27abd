/** The `User` of an image configuration, looked up in the image's own /etc/passwd and /etc/group. */
import { lstatSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../user-error.ts';

export interface ImageUser {
  uid: number;
  gid: number;
  additionalGids: number[];
  /** Home directory, "/" if the user has no entry. */
  home: string;
}

const ID_MAX = 0xfffffffe;
const FILE_MAX = 4 << 20;

/** `user` is "", "name", "uid", "name:group" or "uid:gid"; `layers` are the image's, topmost first. */
export function resolveUser(user: string, layers: readonly string[]): ImageUser {
  const [name, group, more] = user.split(':');
  if (more !== undefined) throw new UserError(`image user "${user}" is not USER or USER:GROUP`);
  const passwd = table(layers, 'etc/passwd', 7);
  const groups = table(layers, 'etc/group', 4);
  const wanted = name === '' || name === undefined ? '0' : name;
  const entry =
    passwd.find((e) => e[0] === wanted) ?? (isId(wanted) ? passwd.find((e) => e[2] === wanted) : undefined);
  if (entry === undefined && !isId(wanted))
    throw new UserError(`image user "${wanted}" is not in its /etc/passwd`);
  const uid = entry === undefined ? Number(wanted) : number(entry[2], `uid of "${wanted}" in /etc/passwd`);
  let gid = entry === undefined ? 0 : number(entry[3], `gid of "${wanted}" in /etc/passwd`);
  // Docker gives supplementary groups only if no group is named.
  let additionalGids: number[] = [];
  if (group !== undefined) {
    const g = groups.find((e) => e[0] === group);
    if (g === undefined && !isId(group))
      throw new UserError(`image group "${group}" is not in its /etc/group`);
    gid = g === undefined ? Number(group) : number(g[2], `gid of "${group}" in /etc/group`);
  } else if (entry !== undefined) {
    const own = gid;
    additionalGids = groups
      .filter((e) => e[3]!.split(',').includes(entry[0]!))
      .map((e) => number(e[2], `gid of "${e[0]!}" in /etc/group`))
      .filter((g) => g !== own);
  }
  return { uid, gid, additionalGids, home: entry?.[5] || '/' };
}

function isId(text: string): boolean {
  return /^\d{1,10}$/.test(text) && Number(text) <= ID_MAX;
}

function number(text: string | undefined, what: string): number {
  if (text === undefined || !isId(text)) throw new UserError(`image: ${what} is not a number`);
  return Number(text);
}

/** Lines of a colon-separated file in the topmost layer that has it; none if it is missing or hidden. */
function table(layers: readonly string[], path: string, fields: number): string[][] {
  for (const layer of layers) {
    const parts = path.split('/');
    let at = layer;
    let found = true;
    for (const [i, part] of parts.entries()) {
      at = join(at, part);
      const st = lstatSync(at, { throwIfNoEntry: false });
      if (st === undefined) {
        found = false;
        break;
      }
      // Links are not followed: they could lead out of the layer.
      const isLast = i === parts.length - 1;
      if (isLast ? !st.isFile() || st.size > FILE_MAX : !st.isDirectory()) return [];
    }
    if (!found) continue;
    return readFileSync(at, 'utf8')
      .split('\n')
      .map((line) => line.split(':'))
      .filter((e) => e.length >= fields);
  }
  return [];
}
