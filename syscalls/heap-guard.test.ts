/** Calls while little of the kernel's heap is left. */
import { expect, test } from 'vitest';
import { ENOMEM } from '../sentry/abi/errno.ts';
import { parseTmpfsOptions } from '../sentry/fsimpl/tmpfs/options.ts';
import { TmpfsSuperBlock } from '../sentry/fsimpl/tmpfs/super-block.ts';
import { HeapGuard, MAKING_CALLS } from '../sentry/kernel/heap-guard.ts';
import { testGuest } from '../sentry/kernel/testing/guest.ts';
import { makeSyscallTable } from './table.ts';

const NR_close = 3;
const NR_pipe = 22;
const NR_getpid = 39;
const ADDR = 0x10000;

test('all names are those of calls', () => {
  const names = new Set(makeSyscallTable().map((row) => row?.name));
  expect([...MAKING_CALLS].filter((name) => !names.has(name))).toEqual([]);
});

test('nothing new is made until there is room again', () => {
  const options = parseTmpfsOptions('');
  if (typeof options === 'number') throw new Error('tmpfs');
  const { kernel, ctx } = testGuest(makeSyscallTable(), new TmpfsSuperBlock(options));
  const guard = new HeapGuard(kernel);
  guard.note(74, 100);
  expect(ctx.syscall(NR_pipe, ADDR)).toBe(0);
  guard.note(76, 100);
  expect(ctx.syscall(NR_pipe, ADDR)).toBe(-ENOMEM);
  expect(ctx.syscall(NR_getpid)).toBe(1);
  expect(ctx.syscall(NR_close, 0)).toBe(0);
  guard.note(72, 100);
  expect(ctx.syscall(NR_pipe, ADDR)).toBe(-ENOMEM);
  guard.note(69, 100);
  expect(ctx.syscall(NR_pipe, ADDR)).toBe(0);
});
