// What is counted as used where the host does not count, and how often.
import { expect, test } from 'vitest';
import type { Kernel } from '../../kernel/kernel.ts';
import type { Backing } from '../../mm/backing.ts';
import { MemoryManager } from '../../mm/memory-manager.ts';
import { Vma } from '../../mm/vma.ts';
import { PAGE_PRESENT, type AddressSpace } from '../../platform/platform.ts';
import { memoryFigures } from './memory.ts';

const MIB = 1 << 20;
const READ = 1;
const WRITE = 3;

test('anonymous memory counts, files do not, and a count is used again for twenty times as long as it took', () => {
  let now = 1000;
  const asked: number[] = [];
  const space = {
    residency: (addr: number, pages: number, out: Uint8Array, off: number): number => {
      now += 50;
      asked.push(addr);
      out.fill(PAGE_PRESENT, off, off + pages);
      return 0;
    },
  } as unknown as AddressSpace;
  const mm = new MemoryManager(space, 0x10000, 0x7fff00000000, 0x7f0000000000);
  const file = { inMemory: false } as unknown as Backing;
  mm.table.insert(new Vma(0x100000, 0x100000 + 4 * MIB, READ, 0, file, 0));
  mm.table.insert(new Vma(0x800000, 0x800000 + MIB, WRITE, 0, null, 0));
  mm.table.insert(new Vma(0xa00000, 0xa00000 + MIB, WRITE, 0, null, 0));
  // A process with two threads.
  const tasks = [
    { dead: false, mm },
    { dead: false, mm },
  ];
  const kernel = {
    figures: null,
    clock: { monotonicNs: () => now },
    allGroups: () => [{ tasks }],
    memTotal: 64 * MIB,
    sharedBytes: () => 3 * MIB,
  } as unknown as Kernel;
  const expected = { totalKb: 65536, freeKb: 60416, anonKb: 2048, sharedKb: 3072 };

  expect(memoryFigures(kernel)).toEqual(expected);
  expect(asked).toEqual([0x800000, 0xa00000]);
  now += 20 * 100 - 1;
  expect(memoryFigures(kernel)).toEqual(expected);
  expect(asked.length).toBe(2);
  now += 1;
  expect(memoryFigures(kernel)).toEqual(expected);
  expect(asked.length).toBe(4);
});
