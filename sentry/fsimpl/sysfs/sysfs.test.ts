import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { CallContext } from '../../vfs/call-context.ts';
import { Dentry } from '../../vfs/dentry.ts';
import type { FileDescription } from '../../vfs/file-description.ts';
import type { Inode } from '../../vfs/inode.ts';
import { makeMount } from '../../vfs/mount-namespace.ts';
import { cpuList, cpuMask } from '../proc/cpus.ts';
import { parseCpuInfo } from './cpu-info.ts';
import { SysfsSuperBlock } from './sysfs.ts';

const t = {} as CallContext;
const cpuInfo = readFileSync('/proc/cpuinfo', 'latin1');
const host = { cpuInfo, cpus: [0, 1], memTotal: 2 ** 30 };

function cat(path: string): string {
  const sb = new SysfsSuperBlock(host, () => 0, null);
  let node: Inode = sb.root;
  for (const name of path.split('/')) node = node.lookup(name, t) as Inode;
  const at = { mount: makeMount(sb, 0, 'sysfs'), dentry: new Dentry('x', null, node) };
  const buf = Buffer.alloc(4096);
  return buf.toString('latin1', 0, (node.open(t, at, 0) as FileDescription).read(t, buf, 0, 4096, 0));
}

test('CPU lists and masks print as the kernel prints them', () => {
  expect(cpuList([0, 1, 2, 5])).toBe('0-2,5');
  expect(cpuMask([0, 1])).toBe('3');
  expect(cpuMask([0, 32])).toBe('1,00000001');
});

test('cpuinfo gives the topology', () => {
  const text = 'processor\t: 0\nphysical id\t: 1\ncore id\t\t: 3\n\nprocessor\t: 1\n\n';
  expect(parseCpuInfo(text, [0, 1, 2])).toEqual([
    { cpu: 0, package: 1, core: 3 },
    { cpu: 1, package: 0, core: 1 },
    { cpu: 2, package: 0, core: 2 },
  ]);
});

test('attributes have the values and the form of the host’s', () => {
  expect(cat('devices/system/cpu/online')).toBe('0-1\n');
  for (const f of [
    'devices/system/cpu/cpu0/topology/core_id',
    'kernel/mm/transparent_hugepage/hpage_pmd_size',
    'kernel/mm/ksm/max_page_sharing',
  ]) {
    if (existsSync(`/sys/${f}`)) expect(cat(f)).toBe(readFileSync(`/sys/${f}`, 'latin1'));
  }
});
