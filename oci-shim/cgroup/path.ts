/** Where the groups of a container are: `linux.cgroupsPath` in its two forms. */
import { normalize } from 'node:path';
import { UserError } from '../user-error.ts';
import type { CgroupHost, Hierarchy } from './host.ts';

/** A transient unit of systemd (systemd.scope(5)). */
export interface Scope {
  slice: string;
  unit: string;
}

export interface CgroupPlace {
  /** Path below the mount point of every hierarchy, or below the caller's own group if it is not absolute. */
  path: string;
  /** Set with --systemd-cgroup: the scope that systemd has to make. */
  scope: Scope | null;
}

/** Collapses `..` without leaving the root, as runc's CleanPath does. */
function clean(path: string): string {
  const inner = normalize(`/${path}`);
  return path.startsWith('/') ? inner : inner.slice(1);
}

/** A path that names no group of the container's own: all processes of the machine are in the root, the caller in its own. */
function ownPath(cgroupsPath: string): string {
  const path = clean(cgroupsPath);
  if (path === '/' || path === '') {
    throw new UserError(`config.json: linux.cgroupsPath "${cgroupsPath}": must name a group below the root`);
  }
  return path;
}

/** `cgroupsPath` of config.json; empty: the container's id below the caller's own group. */
export function cgroupPlace(cgroupsPath: string, id: string, systemd: boolean): CgroupPlace {
  if (!systemd) return { path: cgroupsPath === '' ? id : ownPath(cgroupsPath), scope: null };
  const parts = cgroupsPath === '' ? ['', 'runsc-ts', id] : cgroupsPath.split(':');
  if (parts.length !== 3) {
    throw new UserError(
      `config.json: linux.cgroupsPath "${cgroupsPath}": must be SLICE:PREFIX:NAME with --systemd-cgroup`,
    );
  }
  const [slice, prefix, name] = parts as [string, string, string];
  const root = process.getuid?.() === 0 ? 'system.slice' : 'user.slice';
  const unit = name.endsWith('.slice') ? name : prefix === '' ? `${name}.scope` : `${prefix}-${name}.scope`;
  const inSlice = slice === '' ? root : slice;
  return { path: `${expandSlice(inSlice)}/${unit}`, scope: { slice: inSlice, unit } };
}

/** `a-b.slice` lies in `/a.slice/a-b.slice` (systemd.slice(5)); `-.slice` is the root. */
export function expandSlice(slice: string): string {
  const name = slice.endsWith('.slice') ? slice.slice(0, -'.slice'.length) : '';
  const malformed = name === '' || slice.includes('/') || (name !== '-' && /^-|-$|--/.test(name));
  if (malformed) throw new UserError(`config.json: linux.cgroupsPath: "${slice}" is not the name of a slice`);
  if (name === '-') return '';
  const parts = name.split('-');
  return parts.map((_, i) => `/${parts.slice(0, i + 1).join('-')}.slice`).join('');
}

/** Directory of a container's group in one hierarchy. */
export function directoryIn(host: CgroupHost, h: Hierarchy, path: string): string {
  if (path.startsWith('/')) return `${h.mount}${path === '/' ? '' : path}`;
  // In a hierarchy of version 2 a group with processes cannot have children with controllers: it goes beside ours.
  const base = host.version === 2 ? h.own.slice(0, h.own.lastIndexOf('/')) : h.own === '/' ? '' : h.own;
  return `${h.mount}${base}/${path}`;
}
