/**
 * Instruction boundaries by iced-x86. The package's wrapper is 900 KB of enumerations; the six calls that are needed here
 * are made on its WebAssembly directly. It decodes bytes of guests: whatever they are, it can only give wrong answers.
 */

import { panic } from '../../lib/assert.ts';

/** FlowControl of iced-x86. */
export const FLOW_NEXT = 0;
export const FLOW_JUMP = 1;
export const FLOW_INDIRECT_JUMP = 2;
export const FLOW_CONDITIONAL = 3;
export const FLOW_RETURN = 4;
export const FLOW_CALL = 5;
/** Mnemonic.Nop of iced-x86 1.21. */
const MNEMONIC_NOP = 465;
/** RflagsBits: OF, SF, ZF, AF, CF, PF. */
export const ARITHMETIC_FLAGS = 0x3f;

interface IcedExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  __wbindgen_malloc(size: number, align: number): number;
  __wbindgen_add_to_stack_pointer(n: number): number;
  __wbg_decoder_free(decoder: number): void;
  decoder_new(ret: number, bitness: number, data: number, len: number, options: number): void;
  decoder_set_position(ret: number, decoder: number, position: number): void;
  decoder_decodeOut(decoder: number, instruction: number): void;
  instruction_new(): number;
  instruction_isInvalid(instruction: number): number;
  instruction_length(instruction: number): number;
  instruction_flowControl(instruction: number): number;
  instruction_mnemonic(instruction: number): number;
  instruction_isIpRelMemoryOperand(instruction: number): number;
  instruction_rflagsRead(instruction: number): number;
  instruction_rflagsModified(instruction: number): number;
}

/** What is used of the JavaScript API: TypeScript has it among the browser's types only. */
interface WebAssemblyApi {
  readonly Module: {
    new (bytes: Uint8Array): object;
    imports(module: object): { module: string; name: string }[];
  };
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown };
}

export class Decoder {
  private readonly iced: IcedExports;
  private readonly instruction: number;
  private decoder = 0;
  private size = 0;

  /** `wasm`: the file iced_x86_bg.wasm of the package. */
  constructor(wasm: Uint8Array) {
    const api = (globalThis as unknown as { WebAssembly: WebAssemblyApi }).WebAssembly;
    const module = new api.Module(wasm);
    const imports: Record<string, Record<string, () => void>> = {};
    for (const { module: from, name } of api.Module.imports(module)) {
      (imports[from] ??= {})[name] = () => {
        panic(`iced-x86: ${name}`);
      };
    }
    this.iced = new api.Instance(module, imports).exports as IcedExports;
    this.instruction = this.iced.instruction_new();
  }

  /** From now on positions are offsets in a copy of `code`. */
  load(code: Uint8Array): void {
    const { iced } = this;
    this.unload();
    const data = iced.__wbindgen_malloc(code.length, 1);
    new Uint8Array(iced.memory.buffer).set(code, data);
    const ret = iced.__wbindgen_add_to_stack_pointer(-16);
    iced.decoder_new(ret, 64, data, code.length, 0);
    this.decoder = new Int32Array(iced.memory.buffer)[ret / 4]!;
    iced.__wbindgen_add_to_stack_pointer(16);
    this.size = code.length;
  }

  unload(): void {
    if (this.decoder !== 0) this.iced.__wbg_decoder_free(this.decoder);
    this.decoder = 0;
  }

  seek(position: number): void {
    const { iced } = this;
    const ret = iced.__wbindgen_add_to_stack_pointer(-16);
    iced.decoder_set_position(ret, this.decoder, position);
    iced.__wbindgen_add_to_stack_pointer(16);
  }

  /** Decodes the next instruction: its length, 0 if there is none. The properties below are then its. */
  next(): number {
    const { iced, instruction } = this;
    iced.decoder_decodeOut(this.decoder, instruction);
    return iced.instruction_isInvalid(instruction) !== 0 ? 0 : iced.instruction_length(instruction);
  }

  get length(): number {
    return this.size;
  }

  get flow(): number {
    return this.iced.instruction_flowControl(this.instruction);
  }

  get isNop(): boolean {
    return this.iced.instruction_mnemonic(this.instruction) === MNEMONIC_NOP;
  }

  get ipRelative(): boolean {
    return this.iced.instruction_isIpRelMemoryOperand(this.instruction) !== 0;
  }

  get flagsRead(): number {
    return this.iced.instruction_rflagsRead(this.instruction);
  }

  get flagsModified(): number {
    return this.iced.instruction_rflagsModified(this.instruction);
  }
}
