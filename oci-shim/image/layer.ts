/**
 * Unpacks one layer into a directory of its own. Names are resolved inside that directory, whatever links the layer
 * contains. Whiteouts are collected and made last (whiteout.ts).
 */
import * as fs from 'node:fs';
import { join } from 'node:path';
import type { ReadEntry } from 'tar';
import { errnoName } from '../../sentry/abi/errno.ts';
import { AT_FDCWD, mknodAt } from '../../gofer/host/fs.ffi.ts';
import { UserError } from '../user-error.ts';
import { readTar } from './read-tar.ts';

const S_IFIFO = 0o010000;
const LINKS_MAX = 40;
const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';
/** Notes of this kind are counted beyond it. */
const NOTES_MAX = 20;

export interface UnpackedLayer {
  /** Digest of the uncompressed archive, hex. */
  diffId: string;
  /** Names (relative to the layer) that hide what is below. */
  whiteouts: string[];
  /** Directories (relative) of which nothing below shows. */
  opaque: string[];
  notes: string[];
  /** Directories get their modes, owners and times when everything is in them. */
  finish(): void;
}

interface DirAttributes {
  path: string;
  mode: number;
  uid: number;
  gid: number;
  mtime: Date;
}

/** Unpacks the layer archive `file` into the empty directory `root`. `what` names the layer in messages. */
export async function unpackLayer(file: string, what: string, root: string): Promise<UnpackedLayer> {
  const unpacker = new Unpacker(root, what);
  const diffId = await readTar(file, what, (entry) => {
    unpacker.take(entry);
  });
  return {
    diffId,
    whiteouts: unpacker.whiteouts,
    opaque: unpacker.opaque,
    notes: unpacker.allNotes(),
    finish: () => {
      unpacker.finish();
    },
  };
}

class Unpacker {
  readonly whiteouts: string[] = [];
  readonly opaque: string[] = [];
  private readonly notes: string[] = [];
  private skipped = 0;
  private readonly root: string;
  private readonly what: string;
  private readonly dirs = new Map<string, DirAttributes>();
  /** Only root may give files away. */
  private readonly chowns = process.getuid!() === 0;

  constructor(root: string, what: string) {
    this.root = root;
    this.what = what;
  }

  allNotes(): string[] {
    if (this.skipped <= NOTES_MAX) return this.notes;
    return [...this.notes, `${this.what}: ${this.skipped - NOTES_MAX} more entries skipped`];
  }

  take(entry: ReadEntry): void {
    const parts = this.parts(entry.path, 'entry');
    const name = parts.pop();
    if (name === undefined) {
      if (entry.type === 'Directory') this.rememberDir(this.root, entry);
      entry.resume();
      return;
    }
    if (name.startsWith(WHITEOUT)) {
      entry.resume();
      this.whiteout(parts, name);
      return;
    }
    const path = join(this.directory(parts), name);
    switch (entry.type) {
      case 'File':
      case 'OldFile':
      case 'ContiguousFile':
        this.file(path, entry);
        return;
      case 'Directory':
        this.makeDir(path, entry);
        break;
      case 'SymbolicLink':
        this.symlink(path, entry);
        break;
      case 'Link':
        this.hardLink(path, entry);
        break;
      case 'FIFO':
        this.fifo(path, entry);
        break;
      case 'CharacterDevice':
      case 'BlockDevice':
        this.note(`${this.what}: device node ${entry.path} skipped`);
        break;
      default:
        this.note(`${this.what}: ${entry.path} skipped: entries of type ${entry.type} are not supported`);
    }
    entry.resume();
  }

  private note(text: string): void {
    if (++this.skipped <= NOTES_MAX) this.notes.push(text);
  }

  /** Components of a name in the archive. "." and empty ones count for nothing, ".." is refused. */
  private parts(path: string, kind: string): string[] {
    const parts = path.split('/').filter((p) => p !== '' && p !== '.');
    if (path.startsWith('/') || parts.includes('..')) {
      throw new UserError(`${this.what}: ${kind} "${path}" is outside the layer`);
    }
    if (path.includes('\0') || parts.some((p) => Buffer.byteLength(p) > 255)) {
      throw new UserError(`${this.what}: ${kind} "${path.slice(0, 100)}" is not a valid name`);
    }
    return parts;
  }

  /**
   * The directory that `parts` lead to inside the layer, made where missing. Links of the layer are followed as if the
   * layer were the root directory. Nobody else changes the tree meanwhile.
   */
  private directory(parts: readonly string[]): string {
    let rest = [...parts];
    let at: string[] = [];
    let links = 0;
    while (rest.length > 0) {
      const part = rest.shift()!;
      if (part === '' || part === '.') continue;
      if (part === '..') {
        at.pop();
        continue;
      }
      const path = join(this.root, ...at, part);
      const st = fs.lstatSync(path, { throwIfNoEntry: false });
      if (st === undefined) {
        fs.mkdirSync(path, 0o755);
        at.push(part);
      } else if (st.isDirectory()) {
        at.push(part);
      } else if (st.isSymbolicLink()) {
        if (++links > LINKS_MAX) throw new UserError(`${this.what}: too many links in "${parts.join('/')}"`);
        const target = fs.readlinkSync(path);
        if (target.startsWith('/')) at = [];
        rest = [...target.split('/'), ...rest];
      } else {
        throw new UserError(`${this.what}: "${parts.join('/')}" leads through a file`);
      }
    }
    return join(this.root, ...at);
  }

  private whiteout(parts: string[], name: string): void {
    if (name === OPAQUE) this.opaque.push(parts.join('/'));
    else if (!name.startsWith('.wh..wh.')) {
      const hidden = name.slice(WHITEOUT.length);
      if (hidden === '' || hidden === '.' || hidden === '..') {
        throw new UserError(`${this.what}: whiteout "${name}" hides no name`);
      }
      this.whiteouts.push([...parts, hidden].join('/'));
    }
  }

  /** Makes room for a new entry; true if `path` is a directory that may stay. */
  private clear(path: string, isDir: boolean): boolean {
    const st = fs.lstatSync(path, { throwIfNoEntry: false });
    if (st === undefined) return false;
    if (isDir && st.isDirectory()) return true;
    fs.rmSync(path, { recursive: true, force: true });
    if (st.isDirectory())
      for (const d of [...this.dirs.keys()]) if (`${d}/`.startsWith(`${path}/`)) this.dirs.delete(d);
    return false;
  }

  private file(path: string, entry: ReadEntry): void {
    this.clear(path, false);
    const fd = fs.openSync(path, fs.constants.O_WRONLY | fs.constants.O_CREAT | fs.constants.O_EXCL, 0o600);
    let failed: Error | null = null;
    entry.on('data', (data: Buffer) => {
      if (failed !== null) return;
      try {
        for (let at = 0; at < data.length;) at += fs.writeSync(fd, data, at);
      } catch (e) {
        failed = e as Error;
      }
    });
    entry.on('end', () => {
      try {
        if (failed !== null) throw new UserError(`${this.what}: ${entry.path}: ${failed.message}`);
        if (this.chowns) fs.fchownSync(fd, id(entry.uid), id(entry.gid));
        fs.fchmodSync(fd, (entry.mode ?? 0o644) & 0o7777);
        fs.futimesSync(fd, time(entry), time(entry));
      } finally {
        fs.closeSync(fd);
      }
    });
  }

  private makeDir(path: string, entry: ReadEntry): void {
    if (!this.clear(path, true)) fs.mkdirSync(path, 0o700);
    this.rememberDir(path, entry);
  }

  private rememberDir(path: string, entry: ReadEntry): void {
    const mode = (entry.mode ?? 0o755) & 0o7777;
    this.dirs.set(path, { path, mode, uid: id(entry.uid), gid: id(entry.gid), mtime: time(entry) });
  }

  private symlink(path: string, entry: ReadEntry): void {
    const target = entry.linkpath ?? '';
    if (target === '' || target.includes('\0')) {
      throw new UserError(`${this.what}: symbolic link "${entry.path}" has no target`);
    }
    this.clear(path, false);
    fs.symlinkSync(target, path);
    if (this.chowns) fs.lchownSync(path, id(entry.uid), id(entry.gid));
    fs.lutimesSync(path, time(entry), time(entry));
  }

  private hardLink(path: string, entry: ReadEntry): void {
    const parts = this.parts(entry.linkpath ?? '', `target of hard link "${entry.path}"`);
    const name = parts.pop();
    const target = name === undefined ? this.root : join(this.directory(parts), name);
    const st = fs.lstatSync(target, { throwIfNoEntry: false });
    if (st === undefined || st.isDirectory()) {
      throw new UserError(
        `${this.what}: target "${entry.linkpath}" of hard link "${entry.path}" is not in the layer`,
      );
    }
    if (target === path) return;
    this.clear(path, false);
    fs.linkSync(target, path);
  }

  private fifo(path: string, entry: ReadEntry): void {
    this.clear(path, false);
    makeNode(path, S_IFIFO | 0o600, `${this.what}: ${entry.path}`);
    if (this.chowns) fs.lchownSync(path, id(entry.uid), id(entry.gid));
    fs.chmodSync(path, (entry.mode ?? 0o644) & 0o7777);
  }

  finish(): void {
    // Deepest first: a directory's time must not change after it was set.
    const dirs = [...this.dirs.values()].sort((a, b) => b.path.length - a.path.length);
    for (const d of dirs) {
      if (this.chowns) fs.lchownSync(d.path, d.uid, d.gid);
      fs.chmodSync(d.path, d.mode);
      fs.utimesSync(d.path, d.mtime, d.mtime);
    }
  }
}

/** mknod(2) with device number 0. */
export function makeNode(path: string, mode: number, what: string): void {
  const r = mknodAt(AT_FDCWD, Buffer.from(path, 'utf8').toString('latin1'), mode);
  if (r < 0) throw new UserError(`${what}: cannot make a special file: ${errnoName(-r)}`);
}

function id(n: number | undefined): number {
  return n !== undefined && Number.isInteger(n) && n >= 0 && n < 0xffffffff ? n : 0;
}

function time(entry: ReadEntry): Date {
  const t = entry.mtime;
  return t !== undefined && Number.isFinite(t.getTime()) ? t : new Date(0);
}
