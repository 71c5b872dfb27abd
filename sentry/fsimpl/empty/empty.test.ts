import { expect, test } from 'vitest';
import { EINVAL } from '../../abi/errno.ts';
import { fileSystemType } from '../../vfs/fs-types.ts';
import type { StatFs, SuperBlock } from '../../vfs/super-block.ts';
import { registerEmptyFileSystems } from './empty.ts';

registerEmptyFileSystems();
const mount = (name: string, data: string): SuperBlock | number =>
  fileSystemType(name)!.mount(null, name, 0, data);
const root = (name: string, data: string): unknown => {
  const sb = mount(name, data) as SuperBlock;
  return [(sb.statfs() as StatFs).type, sb.root.mode & 0o7777, sb.root.uid, sb.root.gid];
};

test('roots have the magic, mode and owner that they have on Linux, or those asked for', () => {
  expect(root('debugfs', '')).toEqual([0x64626720, 0o700, 0, 0]);
  expect(root('tracefs', 'mode=755,gid=5,other')).toEqual([0x74726163, 0o755, 0, 5]);
  expect(root('bpf', '')).toEqual([0xcafe4a11, 0o1777, 0, 0]);
});

test('options that make no sense are refused', () => {
  for (const data of ['mode=', 'uid=x', 'gid=-1']) expect(mount('debugfs', data)).toBe(-EINVAL);
  expect(mount('pstore', 'mode=755')).toBe(-EINVAL);
});
