/**
 * The archive as a set of files: `docker save` output or an OCI image layout. Metadata is small and kept in memory;
 * layers are copied to a directory when they are needed.
 */
import { createHash } from 'node:crypto';
import { closeSync, createReadStream, existsSync, openSync, statSync, writeSync } from 'node:fs';
import { join, posix } from 'node:path';
import { UserError } from '../user-error.ts';
import { readTar } from './read-tar.ts';

/** Larger members are not metadata: they are layers. */
const METADATA_MAX = 4 << 20;
const MEMBERS_MAX = 10_000;

export class ImageArchive {
  readonly file: string;
  private readonly metadata = new Map<string, Buffer>();
  private readonly names = new Set<string>();
  /** Old `docker save` makes a symbolic link of a layer that occurs twice. */
  private readonly links = new Map<string, string>();

  private constructor(file: string) {
    this.file = file;
  }

  /** Reads the names and the metadata. */
  static async open(file: string): Promise<ImageArchive> {
    if (!existsSync(file)) throw new UserError(`${file}: no such image archive`);
    if (!statSync(file).isFile())
      throw new UserError(`${file}: not an image archive but another kind of file`);
    const archive = new ImageArchive(file);
    await readTar(file, file, (entry) => {
      const name = memberName(file, entry.path);
      const isFile = entry.type === 'File' || entry.type === 'OldFile';
      if (entry.type === 'SymbolicLink') {
        const target = posix.normalize(posix.join(posix.dirname(name), entry.linkpath ?? ''));
        archive.links.set(name, memberName(file, target));
      }
      if (!isFile) {
        entry.resume();
        return;
      }
      if (archive.names.size >= MEMBERS_MAX) throw new UserError(`${file}: more than ${MEMBERS_MAX} members`);
      archive.names.add(name);
      if (entry.size > METADATA_MAX) {
        entry.resume();
        return;
      }
      const chunks: Buffer[] = [];
      entry.on('data', (data) => chunks.push(data));
      entry.on('end', () => archive.metadata.set(name, Buffer.concat(chunks)));
    });
    return archive;
  }

  has(name: string): boolean {
    return this.names.has(this.resolve(name));
  }

  /** Contents of a small member. */
  read(name: string): Buffer {
    const data = this.metadata.get(this.resolve(name));
    if (data === undefined) {
      if (this.has(name)) throw new UserError(`${this.file}: ${name} is too large`);
      throw new UserError(`${this.file}: ${name} is missing`);
    }
    return data;
  }

  readJson(name: string): unknown {
    try {
      return JSON.parse(this.read(name).toString('utf8'));
    } catch (e) {
      if (e instanceof UserError) throw e;
      throw new UserError(`${this.file}: ${name} is not JSON: ${(e as Error).message}`);
    }
  }

  /** Copies members to files of `dir`; returns their paths by name. */
  async extract(names: ReadonlySet<string>, dir: string): Promise<Map<string, string>> {
    const wanted = new Map<string, string>();
    const paths = new Map<string, string>();
    for (const name of names) {
      const real = this.resolve(name);
      if (!this.names.has(real)) throw new UserError(`${this.file}: ${name} is missing`);
      const path = wanted.get(real) ?? join(dir, `blob-${wanted.size}`);
      wanted.set(real, path);
      paths.set(name, path);
    }
    await readTar(this.file, this.file, (entry) => {
      const path = wanted.get(memberName(this.file, entry.path));
      if (path === undefined || entry.type === 'SymbolicLink') {
        entry.resume();
        return;
      }
      const fd = openSync(path, 'w', 0o600);
      entry.on('data', (data) => {
        writeSync(fd, data);
      });
      entry.on('end', () => {
        closeSync(fd);
      });
    });
    return paths;
  }

  private resolve(name: string): string {
    return this.links.get(name) ?? name;
  }
}

/** A member's name without "./"; refuses what points out of the archive. */
function memberName(file: string, path: string): string {
  const name = posix.normalize(path).replace(/\/$/, '');
  if (name.startsWith('/') || name === '..' || name.startsWith('../')) {
    throw new UserError(`${file}: member "${path}" is outside the archive`);
  }
  return name;
}

export function sha256(data: Buffer): string {
  return createHash('sha256').update(data).digest('hex');
}

export async function sha256File(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 256 * 1024 }))
    hash.update(chunk as Buffer);
  return hash.digest('hex');
}
