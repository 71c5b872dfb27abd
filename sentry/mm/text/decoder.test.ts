// The decoder against iced-x86, on all functions of real files.
import { existsSync, readFileSync } from 'node:fs';
import * as iced from 'iced-x86';
import { expect, test } from 'vitest';
import { Decoder, FLAGS_KEPT, FLAGS_READ, FLAGS_SET, FLAGS_SET_BUT_CARRY, FLOW_OTHER } from './decoder.ts';
import { readElfText } from './elf-text.ts';
import { FUNCTION_WORDS } from './functions.ts';

const FILES = ['/lib64/ld-linux-x86-64.so.2', '/lib/x86_64-linux-gnu/libm.so.6'];
const { RflagsBits } = iced;
const CARRY = RflagsBits.CF;
const ALL = RflagsBits.OF | RflagsBits.SF | RflagsBits.ZF | RflagsBits.AF | RflagsBits.CF | RflagsBits.PF;

/** What is wrong with the decoder's view of an instruction; '' for nothing. */
function fault(d: Decoder, length: number, i: iced.Instruction): string {
  if (length !== i.length) return `length ${length}`;
  if (d.flow !== Math.min(i.flowControl, FLOW_OTHER)) return `flow ${d.flow}`;
  if (d.isNop !== (i.mnemonic === iced.Mnemonic.Nop)) return 'nop';
  if (d.ipRelative !== i.isIpRelMemoryOperand) return 'rip';
  if (d.flags !== FLAGS_READ && (i.rflagsRead & ALL) !== 0) return 'reads flags';
  const set = i.rflagsModified & ALL;
  if (d.flags === FLAGS_KEPT && set !== 0) return 'sets flags';
  if (d.flags === FLAGS_SET && set !== ALL) return 'keeps flags';
  if (d.flags === FLAGS_SET_BUT_CARRY && (set | CARRY) !== ALL) return 'keeps flags';
  return '';
}

const MAX_LENGTH = 15;

test.each(FILES.filter((f) => existsSync(f)))('%s', (path) => {
  const file = readFileSync(path);
  const text = readElfText(
    (at, len) => (at + len > file.length ? null : Buffer.from(file.subarray(at, at + len))),
    null,
  )!;
  const code = file.subarray(text.offset, text.offset + text.code);
  const decoder = new Decoder(code);
  const faults: string[] = [];
  let count = 0;
  let unknown = 0;
  let calls = 0;
  for (let f = 0; f < text.functions.length; f += FUNCTION_WORDS) {
    const begin = text.functions[f]!;
    const end = text.functions[f + 1]!;
    // Unwind entries may begin within the padding before their function (__restore_rt).
    const theirs = new iced.Decoder(64, code.subarray(begin, end + MAX_LENGTH), iced.DecoderOptions.None);
    for (let at = begin; at < end;) {
      const instruction = theirs.decode();
      const { length } = instruction;
      decoder.seek(at);
      const own = decoder.next();
      const wrong = own === 0 ? '' : fault(decoder, own, instruction);
      const bytes = code.subarray(at, at + length).toString('hex');
      if (wrong !== '') faults.push(`${bytes}: ${wrong}`);
      if (bytes === '0f05') calls++;
      count++;
      if (own === 0) unknown++;
      instruction.free();
      at += length;
    }
    theirs.free();
  }
  expect(faults).toEqual([]);
  expect(count).toBeGreaterThan(10_000);
  expect(unknown).toBeLessThan(count / 1000);
  if (path === FILES[0]) expect(calls).toBeGreaterThan(10);
});

test('what ends within an instruction, or has too many prefixes, is none', () => {
  expect(new Decoder(Uint8Array.from([0xb8, 1, 0])).next()).toBe(0);
  expect(new Decoder(new Uint8Array(20).fill(0x66)).next()).toBe(0);
  expect(new Decoder(new Uint8Array(0)).next()).toBe(0);
});
