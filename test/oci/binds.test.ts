// Binds of trees in which the host has mounted more: which of the mounts come along, with which flags, and what these do. As runc.
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { defaultSpec, hasBusybox, hasRunc, type Spec, TestBundle } from './bundle.ts';

/** A tmpfs with another one in it, both with files of several kinds, and read long ago. */
const TREE = `
  mount -t tmpfs -o mode=755 outer "$1" && mkdir "$1/sub" && mount -t tmpfs -o mode=755 inner "$1/sub"
  for d in "$1/sub" "$1"; do
    echo file > $d/f; ln -s f $d/l; cp /bin/busybox $d/busybox; ln -s busybox $d/true; ln -s busybox $d/id
    chmod 4755 $d/busybox; mknod -m 666 $d/null c 1 3; touch -m -d @50 $d/f $d; touch -a -d @100 $d/f $d
  done`;

const SCRIPT = `
  for d in /m /m/sub; do
    echo $d: $(touch $d/new 2>&1) $( (echo x > $d/null) 2>&1); $d/true && echo runs; cat $d/l; $d/busybox id -u
    touch -c $d/f 2>&1; for f in $d/f $d; do [ $(stat -c %X $f) = 100 ] && echo $f not read; done
  done 2>&1
  awk '/ \\/m/ { s = $5 " " $6; for (i = 7; $i != "-"; i++) s = s " " $i; sub(/:.*/, "", s); print s }' /proc/self/mountinfo`;

const cases: Record<string, readonly string[]> = {
  'the mount alone': ['bind'],
  'all of them': ['rbind'],
  'flags of the first only': ['rbind', 'ro', 'nosuid', 'nodev', 'noexec'],
  'nosymfollow of the first only': ['rbind', 'nosymfollow'],
  'flags of all': ['rbind', 'rro', 'rnosuid', 'rnodev', 'rnoexec', 'rnosymfollow'],
  'the last word on what is read-only': ['rbind', 'ro', 'rrw'],
  'a recursive option of one mount': ['bind', 'rro'],
  'times of the first': ['rbind', 'noatime'],
  'times of all': ['rbind', 'rnoatime'],
  'times of directories': ['rbind', 'rnodiratime'],
  'times of each read': ['rbind', 'rstrictatime'],
  'propagation of all': ['rbind', 'rshared'],
};

describe.runIf(hasBusybox && hasRunc)('mounts of the host in binds', () => {
  let b: TestBundle;
  const trees: string[] = [];
  beforeAll(() => {
    b = new TestBundle();
  });
  afterAll(() => {
    for (const t of trees) spawnSync('sh', ['-c', 'umount -l "$1/sub"; umount -l "$1"', 'sh', t]);
    b.remove();
  });

  /** A fresh tree, with `flags` on its first mount. */
  function tree(flags?: string): string {
    const at = `${b.dir}/tree${trees.length}`;
    const more = flags === undefined ? '' : `mount -o remount,bind,${flags} "$1"`;
    const r = spawnSync('sh', ['-ec', `mkdir "$1"; ${TREE}\n${more}`, 'sh', at], { encoding: 'utf8' });
    trees.push(at);
    expect(r.stderr).toBe('');
    return at;
  }

  function spec(source: string, options: readonly string[]): Spec {
    const s = defaultSpec(SCRIPT);
    s.process.user = { uid: 1000, gid: 1000 };
    for (const set of ['bounding', 'effective', 'permitted'])
      s.process.capabilities[set] = ['CAP_DAC_OVERRIDE'];
    s.process.capabilities.inheritable = s.process.capabilities.ambient = ['CAP_DAC_OVERRIDE'];
    s.process.noNewPrivileges = false;
    s.mounts.push({ destination: '/m', type: 'bind', source, options });
    return s;
  }

  test.each(Object.entries(cases))('%s', (_name, options) => {
    const native = b.runc(spec(tree(), options));
    expect(native.stdout).toMatch(/^\/m /m);
    expect(b.run('systrap', spec(tree(), options))).toEqual(native);
  });

  test.each(['ro', 'noexec', 'nosuid', 'nodev', 'noatime', 'nosymfollow'])('%s of the host’s', (flags) => {
    const native = b.runc(spec(tree(flags), ['rbind']));
    expect(b.run('systrap', spec(tree(flags), ['rbind']))).toEqual(native);
  });
});
