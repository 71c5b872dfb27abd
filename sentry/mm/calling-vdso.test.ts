import { expect, test } from 'vitest';
import { viewHostMemory } from '../host/memory.ffi.ts';
import { auxVector } from '../host/sys.ffi.ts';
import { functionAt } from './calling-vdso.ts';

const AT_SYSINFO_EHDR = 33;

test('functions of the host’s own vDSO', () => {
  const elf = Buffer.from(viewHostMemory(auxVector(AT_SYSINFO_EHDR), 4096));
  const at = functionAt(elf, '__vdso_clock_gettime');
  expect(at).toBeGreaterThan(0);
  expect(functionAt(elf, '__vdso_gettimeofday')).not.toBe(at);
  expect(functionAt(elf, '__vdso_clock_gettim')).toBe(-1);
});

test('what is no vDSO', () => {
  expect(functionAt(Buffer.alloc(4096), 'x')).toBe(-1);
  // Everything points beyond the end.
  expect(functionAt(Buffer.alloc(4096, 0xff), 'x')).toBe(-1);
});
