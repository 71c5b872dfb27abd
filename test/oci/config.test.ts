// Fields of config.json seen from inside the container, the same under runsc-ts and under runc.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { platforms } from '../lib/sandbox.ts';
import { defaultSpec, hasBusybox, hasRunc, type Spec, TestBundle } from './bundle.ts';
import { cases } from './config-cases.ts';

const platform = platforms[0]!;

describe.runIf(hasBusybox)('config.json', () => {
  describe.each(Object.entries(cases))('%s', (_name, c) => {
    let ours: TestBundle;
    let theirs: TestBundle;
    beforeAll(() => {
      ours = new TestBundle();
      theirs = new TestBundle();
    });
    afterAll(() => {
      ours.remove();
      theirs.remove();
    });
    const spec = (b: TestBundle): Spec => {
      const s = defaultSpec(c.script);
      c.change?.(s, b);
      return s;
    };
    const clean = (text: string, b: TestBundle): string => text.replaceAll(b.dir, 'BUNDLE');

    test('runsc-ts', () => {
      const r = ours.run(platform, spec(ours));
      const out = clean(r.stdout, ours) + (c.warns === true ? '' : clean(r.stderr, ours));
      let expected = c.expected;
      if (hasRunc && c.withoutRunc !== true) {
        const native = theirs.runc(spec(theirs));
        const nativeOut = clean(native.stdout, theirs) + clean(native.stderr, theirs);
        if (expected !== undefined) expect(nativeOut).toBe(expected);
        expected = nativeOut;
        expect(r.status, out).toBe(native.status);
      } else expect(r.status, out).toBe(0);
      if (expected !== undefined) expect(out).toBe(expected);
    });
  });

  test('binds are written through', () => {
    const b = new TestBundle();
    const s = defaultSpec('echo more >> /etc/passwd; echo made > /new');
    expect(b.run(platform, s)).toMatchObject({ status: 0, stderr: '' });
    expect(readFileSync(join(b.rootfs, 'etc/passwd'), 'utf8')).toMatch(/more\n$/);
    expect(readFileSync(join(b.rootfs, 'new'), 'utf8')).toBe('made\n');
    b.remove();
  });
});
