import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { Header } from 'tar';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openImage } from './image.ts';
import { resolveUser } from './user.ts';

interface Entry {
  path: string;
  type?: 'File' | 'Directory' | 'SymbolicLink' | 'Link' | 'CharacterDevice' | 'FIFO';
  /** One byte per character. */
  data?: string;
  mode?: number;
  uid?: number;
  link?: string;
}

let dir: string;
let cache: string;

beforeEach(() => {
  dir = fs.mkdtempSync(join(tmpdir(), 'image-'));
  cache = join(dir, 'cache');
});

afterEach(() => {
  fs.rmSync(dir, { recursive: true, force: true });
});

function tarOf(entries: readonly Entry[]): Buffer {
  const blocks: Buffer[] = [];
  for (const e of entries) {
    const data = Buffer.from(e.data ?? '', 'latin1');
    const header = new Header({
      path: e.path,
      type: e.type ?? 'File',
      mode: e.mode ?? (e.type === 'Directory' ? 0o755 : 0o644),
      uid: e.uid ?? 0,
      gid: 0,
      size: data.length,
      mtime: new Date(1_000_000_000_000),
      ...(e.link === undefined ? {} : { linkpath: e.link }),
    });
    const block = Buffer.alloc(512);
    header.encode(block, 0);
    blocks.push(block, data, Buffer.alloc((512 - (data.length % 512)) % 512));
  }
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

const sha = (b: Buffer | string): string => createHash('sha256').update(b).digest('hex');
const file = (path: string, data: string, more: Partial<Entry> = {}): Entry => ({ path, data, ...more });
const folder = (path: string, mode = 0o755): Entry => ({ path, type: 'Directory', mode });

interface Options {
  config?: object;
  gzip?: boolean;
  /** Changes the parts before they are written. */
  spoil?: (parts: Map<string, Buffer>) => void;
}

const baseConfig = { architecture: 'amd64', os: 'linux' };

function configOf(layers: readonly Buffer[], options: Options): Buffer {
  const rootfs = { type: 'layers', diff_ids: layers.map((l) => `sha256:${sha(l)}`) };
  return Buffer.from(JSON.stringify({ ...baseConfig, rootfs, ...options.config }));
}

function write(parts: Map<string, Buffer>, options: Options): string {
  options.spoil?.(parts);
  const path = join(dir, 'image.tar');
  fs.writeFileSync(path, tarOf([...parts].map(([p, data]) => ({ path: p, data: data.toString('latin1') }))));
  return path;
}

function dockerSave(layers: readonly Entry[][], options: Options = {}): string {
  const tars = layers.map(tarOf);
  const config = configOf(tars, options);
  const parts = new Map<string, Buffer>();
  parts.set(`${sha(config)}.json`, config);
  tars.forEach((t, i) => parts.set(`layer${i}/layer.tar`, t));
  const manifest = [{ Config: `${sha(config)}.json`, Layers: tars.map((_, i) => `layer${i}/layer.tar`) }];
  parts.set('manifest.json', Buffer.from(JSON.stringify(manifest)));
  return write(parts, options);
}

function ociLayout(layers: readonly Entry[][], options: Options = {}): string {
  const tars = layers.map(tarOf);
  const blobs = tars.map((t) => (options.gzip === true ? gzipSync(t) : t));
  const config = configOf(tars, options);
  const parts = new Map<string, Buffer>();
  const add = (b: Buffer): { digest: string; size: number } => {
    parts.set(`blobs/sha256/${sha(b)}`, b);
    return { digest: `sha256:${sha(b)}`, size: b.length };
  };
  const manifest = Buffer.from(
    JSON.stringify({ schemaVersion: 2, config: add(config), layers: blobs.map(add) }),
  );
  const attestation = { ...add(Buffer.from('{}')), platform: { os: 'unknown', architecture: 'unknown' } };
  const inner = Buffer.from(JSON.stringify({ manifests: [add(manifest), attestation] }));
  const platform = { os: 'linux', architecture: 'amd64' };
  const mediaType = 'application/vnd.oci.image.index.v1+json';
  const index = { schemaVersion: 2, manifests: [{ ...add(inner), mediaType, platform }] };
  parts.set('index.json', Buffer.from(JSON.stringify(index)));
  parts.set('oci-layout', Buffer.from('{"imageLayoutVersion":"1.0.0"}'));
  return write(parts, options);
}

const cached = (): string[] => (fs.existsSync(cache) ? fs.readdirSync(cache) : []);

describe.each([
  ['docker save', dockerSave],
  ['OCI layout', ociLayout],
  ['OCI layout with gzip', (l: Entry[][], o: Options = {}) => ociLayout(l, { ...o, gzip: true })],
])('%s', (_name, make) => {
  test('layers, topmost first, with their attributes', async () => {
    const path = make(
      [
        [
          folder('bin'),
          file('bin/sh', '#!', { mode: 0o4755 }),
          { path: 'bin/l', type: 'SymbolicLink', link: '/bin/sh' },
        ],
        [
          folder('bin'),
          { ...file('bin/new', 'x'.repeat(5000)) },
          { path: 'bin/hard', type: 'Link', link: 'bin/new' },
        ],
      ],
      {
        config: {
          config: { Env: ['A=1'], Cmd: ['sh'], Entrypoint: ['/bin/e'], WorkingDir: '/w', User: 'u' },
        },
      },
    );
    const image = await openImage(path, cache);
    expect(image.config).toEqual({
      env: ['A=1'],
      cmd: ['sh'],
      entrypoint: ['/bin/e'],
      workingDir: '/w',
      user: 'u',
    });
    const [top, bottom] = image.layers as [string, string];
    expect(fs.readFileSync(join(bottom, 'bin/sh'), 'utf8')).toBe('#!');
    const st = fs.statSync(join(bottom, 'bin/sh'));
    expect([st.mode & 0o7777, st.mtimeMs]).toEqual([0o4755, 1_000_000_000_000]);
    expect(fs.readlinkSync(join(bottom, 'bin/l'))).toBe('/bin/sh');
    expect(fs.readFileSync(join(top, 'bin/hard'), 'utf8').length).toBe(5000);
    expect(fs.statSync(join(top, 'bin/hard')).nlink).toBe(2);
    expect(image.notes).toEqual([]);
    // The second time nothing is unpacked.
    const marker = join(top, 'marker');
    fs.writeFileSync(marker, '');
    expect((await openImage(path, cache)).layers).toEqual(image.layers);
    expect(fs.existsSync(marker)).toBe(true);
    expect(cached().filter((n) => n.startsWith('tmp-'))).toEqual([]);
  });

  test('a layer with other contents than its digest is refused, and nothing stays', async () => {
    const path = make([[file('a', '1')], [file('b', '2')]], {
      spoil: (parts) => {
        for (const [name, data] of parts) {
          if (data.length > 1024 || data.readUInt16BE() === 0x1f8b) {
            const other = tarOf([file('evil', '1')]);
            parts.set(name, data.readUInt16BE() === 0x1f8b ? gzipSync(other) : other);
          }
        }
      },
    });
    await expect(openImage(path, cache)).rejects.toThrow(/digest/);
    expect(cached()).toEqual([]);
  });
});

describe('whiteouts', () => {
  const isWhiteout = (path: string): boolean => {
    const st = fs.lstatSync(path);
    return st.isCharacterDevice() && st.rdev === 0;
  };

  test('become character devices 0:0, opaque directories hide each name below', async () => {
    const image = await openImage(
      dockerSave([
        [
          folder('d'),
          file('d/a', ''),
          folder('d/s'),
          file('d/s/x', ''),
          file('gone', ''),
          folder('r'),
          file('r/old', ''),
        ],
        [folder('d'), file('d/b', '')],
        [
          folder('d'),
          file('d/.wh..wh..opq', ''),
          folder('d/s'),
          file('d/s/new', ''),
          file('.wh.gone', ''),
          file('.wh.r', ''),
          folder('r'),
          file('.wh..wh.plnk', ''),
        ],
      ]),
      cache,
    );
    const top = image.layers[0]!;
    expect(fs.readdirSync(top).sort()).toEqual(['d', 'gone', 'r']);
    expect(isWhiteout(join(top, 'gone'))).toBe(true);
    expect(fs.readdirSync(join(top, 'd')).sort()).toEqual(['a', 'b', 's']);
    expect(isWhiteout(join(top, 'd/a')) && isWhiteout(join(top, 'd/b'))).toBe(true);
    expect(fs.readdirSync(join(top, 'd/s')).sort()).toEqual(['new', 'x']);
    expect(isWhiteout(join(top, 'd/s/x'))).toBe(true);
    expect(isWhiteout(join(top, 'r/old'))).toBe(true);
  });
});

describe('hostile layers', () => {
  const refuse = async (entries: Entry[], message: RegExp | string): Promise<void> => {
    const path = dockerSave([[file('ok', '')], entries]);
    await expect(openImage(path, cache)).rejects.toThrow(message);
    // The good layer below may stay, nothing else.
    expect(cached().length).toBeLessThanOrEqual(1);
    expect(cached().filter((n) => n.startsWith('tmp-'))).toEqual([]);
  };

  test('names that lead out', async () => {
    await refuse([file('../x', '')], 'entry "../x" is outside the layer');
    await refuse([file('a/../../x', '')], 'is outside the layer');
    await refuse([file('/etc/x', '')], 'entry "/etc/x" is outside the layer');
    await refuse([{ path: 'h', type: 'Link', link: '../../etc/passwd' }], 'target of hard link "h"');
    await refuse([{ path: 'h', type: 'Link', link: '/etc/passwd' }], 'target of hard link "h"');
    await refuse([{ path: 'h', type: 'Link', link: 'none' }], 'is not in the layer');
    await refuse([file('.wh...', '')], 'hides no name');
    await refuse([file('f', ''), file('f/x', '')], 'leads through a file');
    await refuse([{ path: 'l', type: 'SymbolicLink', link: 'l' }, file('l/x', '')], 'too many links');
  });

  test('links are followed inside the layer only', async () => {
    const outside = join(dir, 'outside');
    fs.mkdirSync(outside);
    const image = await openImage(
      dockerSave([
        [
          { path: 'abs', type: 'SymbolicLink', link: outside },
          file('abs/x', '1'),
          { path: 'up', type: 'SymbolicLink', link: '../../../../../../../../../../tmp' },
          file('up/y', '2'),
          folder('real'),
          { path: 'rel', type: 'SymbolicLink', link: 'real' },
          file('rel/z', '3'),
          { path: 'h', type: 'Link', link: 'rel/z' },
        ],
      ]),
      cache,
    );
    const root = image.layers[0]!;
    expect(fs.readdirSync(outside)).toEqual([]);
    expect(fs.readFileSync(join(root, outside, 'x'), 'utf8')).toBe('1');
    expect(fs.readFileSync(join(root, 'tmp/y'), 'utf8')).toBe('2');
    expect(fs.readFileSync(join(root, 'real/z'), 'utf8')).toBe('3');
    expect(fs.readFileSync(join(root, 'h'), 'utf8')).toBe('3');
  });

  test('device nodes are skipped with a note; FIFOs are made', async () => {
    const image = await openImage(
      dockerSave([
        [{ path: 'null', type: 'CharacterDevice' }, { path: 'p', type: 'FIFO', mode: 0o600 }, file('f', '')],
      ]),
      cache,
    );
    expect(fs.readdirSync(image.layers[0]!).sort()).toEqual(['f', 'p']);
    expect(fs.statSync(join(image.layers[0]!, 'p')).isFIFO()).toBe(true);
    expect(image.notes).toEqual([expect.stringMatching(/device node null skipped$/)]);
  });

  test('later entries of a name replace earlier ones', async () => {
    const image = await openImage(
      dockerSave([
        [folder('d', 0o700), file('d/x', '1'), file('d', 'file'), file('e', ''), folder('e', 0o500)],
      ]),
      cache,
    );
    const root = image.layers[0]!;
    expect(fs.readFileSync(join(root, 'd'), 'utf8')).toBe('file');
    expect(fs.statSync(join(root, 'e')).mode & 0o777).toBe(0o500);
  });
});

describe('damaged archives', () => {
  const fails = async (path: string, message: RegExp | string): Promise<void> => {
    await expect(openImage(path, cache)).rejects.toThrow(message);
    expect(cached()).toEqual([]);
  };

  test('are refused with what is wrong', async () => {
    await fails(join(dir, 'none.tar'), 'no such image archive');
    await fails(dir, 'not an image archive');
    const junk = join(dir, 'junk.tar');
    fs.writeFileSync(junk, 'x'.repeat(3000));
    await fails(junk, /damaged tar archive/);
    fs.writeFileSync(junk, tarOf([file('readme', 'x')]));
    await fails(junk, 'neither a "docker save" archive (manifest.json) nor an OCI image layout (index.json)');
    fs.writeFileSync(junk, tarOf([file('../manifest.json', '[]')]));
    await fails(junk, 'member "../manifest.json" is outside the archive');
    const whole = fs.readFileSync(dockerSave([[file('f', 'x'.repeat(9000))]]));
    fs.writeFileSync(junk, whole.subarray(0, 8000));
    await fails(junk, /damaged tar archive|missing/);
    fs.writeFileSync(junk, gzipSync(whole).subarray(0, 200));
    await fails(junk, /junk.tar: /);
  });

  test('missing parts are named', async () => {
    const without = (name: RegExp) => (parts: Map<string, Buffer>) => {
      for (const p of [...parts.keys()]) if (name.test(p)) parts.delete(p);
    };
    const l = [[file('f', '')]];
    await fails(dockerSave(l, { spoil: without(/layer\.tar/) }), /layer layer0\/layer.tar is missing/);
    await fails(
      dockerSave(l, { spoil: without(/^[0-9a-f]{64}\.json/) }),
      /image configuration .* is missing/,
    );
    await fails(
      dockerSave(l, { spoil: (p) => p.set('manifest.json', Buffer.from('{')) }),
      /manifest.json is not JSON/,
    );
    await fails(dockerSave(l, { spoil: (p) => p.set('manifest.json', Buffer.from('{}')) }), /is not a list/);
    await fails(ociLayout(l, { spoil: without(/^blobs/) }), /manifest blobs.* is missing/);
    await fails(ociLayout(l, { config: { architecture: 'arm64' } }), 'the image is for linux/arm64');
    await fails(
      dockerSave(l, { config: { rootfs: { diff_ids: [] } } }),
      '1 layers in the manifest, 0 in the image',
    );
    await fails(dockerSave(l, { config: { config: { Env: ['x'] } } }), 'config.Env "x" is not NAME=VALUE');
    await fails(dockerSave(l, { config: { config: { WorkingDir: 'x' } } }), 'not an absolute path');
  });

  test('a cache that others can write is refused; leftovers of dead processes go', async () => {
    const path = dockerSave([[file('f', '')]]);
    fs.mkdirSync(cache, { mode: 0o700 });
    fs.mkdirSync(join(cache, 'tmp-999999999-abc/x'), { recursive: true });
    await openImage(path, cache);
    expect(cached().length).toBe(1);
    fs.chmodSync(cache, 0o777);
    await expect(openImage(path, cache)).rejects.toThrow('writable for nobody else');
  });
});

test('an archive made by the tar program works', async () => {
  const src = join(dir, 'src');
  fs.mkdirSync(join(src, 'deep/'.repeat(30)), { recursive: true });
  fs.writeFileSync(join(src, 'deep/'.repeat(30), 'n'.repeat(200)), 'long');
  execFileSync('tar', ['-cf', join(dir, 'layer.tar'), '-C', src, '.']);
  const layer = fs.readFileSync(join(dir, 'layer.tar'));
  const config = configOf([layer], {});
  fs.mkdirSync(join(dir, 'out'));
  fs.writeFileSync(join(dir, 'out/config.json'), config);
  fs.writeFileSync(join(dir, 'out/layer.tar'), layer);
  fs.writeFileSync(
    join(dir, 'out/manifest.json'),
    JSON.stringify([{ Config: 'config.json', Layers: ['layer.tar'] }]),
  );
  execFileSync('tar', ['-czf', join(dir, 'i.tgz'), '-C', join(dir, 'out'), '.']);
  const image = await openImage(join(dir, 'i.tgz'), cache);
  const path = join(image.layers[0]!, 'deep/'.repeat(30), 'n'.repeat(200));
  expect(fs.readFileSync(path, 'utf8')).toBe('long');
});

describe('users', () => {
  const passwd = 'root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:w:/srv:/bin/sh\n';
  const groups = 'root:x:0:\nweb:x:34:\nextra:x:50:other,web\n';
  const layers = (): string[] => {
    const [top, bottom] = [join(dir, 'top'), join(dir, 'bottom')];
    fs.mkdirSync(join(bottom, 'etc'), { recursive: true });
    fs.mkdirSync(top, { recursive: true });
    fs.writeFileSync(join(bottom, 'etc/passwd'), passwd);
    fs.writeFileSync(join(bottom, 'etc/group'), groups);
    return [top, bottom];
  };

  test('names and numbers', () => {
    const l = layers();
    expect(resolveUser('', l)).toEqual({ uid: 0, gid: 0, additionalGids: [], home: '/root' });
    expect(resolveUser('web', l)).toEqual({ uid: 33, gid: 34, additionalGids: [50], home: '/srv' });
    expect(resolveUser('33', l)).toEqual({ uid: 33, gid: 34, additionalGids: [50], home: '/srv' });
    expect(resolveUser('web:extra', l)).toEqual({ uid: 33, gid: 50, additionalGids: [], home: '/srv' });
    expect(resolveUser('1000:7', l)).toEqual({ uid: 1000, gid: 7, additionalGids: [], home: '/' });
    expect(() => resolveUser('nobody', l)).toThrow('image user "nobody" is not in its /etc/passwd');
    expect(() => resolveUser('web:none', l)).toThrow('image group "none"');
    expect(() => resolveUser('4294967295', l)).toThrow('is not in its /etc/passwd');
    expect(() => resolveUser('a:b:c', l)).toThrow('is not USER or USER:GROUP');
  });

  test('links in the image are not followed', () => {
    const l = layers();
    fs.mkdirSync(join(l[0]!, 'etc'));
    fs.symlinkSync('/etc/passwd', join(l[0]!, 'etc/passwd'));
    expect(() => resolveUser('web', l)).toThrow('is not in its /etc/passwd');
  });
});
