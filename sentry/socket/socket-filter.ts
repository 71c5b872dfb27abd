/**
 * Filters of sockets that live in the sentry (net/core/filter.c sk_attach_filter, sk_filter_trim_cap): classic BPF over the data of a
 * message. What it returns is how much of the message is kept; 0: nothing, it is dropped.
 */
import * as B from '../lib/bpf.ts';
import { random48 } from '../lib/random.ts';

const LD_H_ABS = 0x28;
const LD_B_ABS = 0x30;
const LD_W_IND = 0x40;
const LD_H_IND = 0x48;
const LD_B_IND = 0x50;
const MOD_K = B.ALU | B.ALU_MOD;
const MOD_X = MOD_K | B.SRC_X;

/** SKF_AD_OFF: offsets from here on ask for what goes along with the data. */
const ANCILLARY = 0xfffff000;
const SKF_AD_PROTOCOL = 0;
const SKF_AD_IFINDEX = 8;
const SKF_AD_NLATTR = 12;
const SKF_AD_NLATTR_NEST = 16;
const SKF_AD_HATYPE = 28;
const SKF_AD_ALU_XOR_X = 40;
const SKF_AD_RANDOM = 56;
const SKF_AD_MAX = 64;

const ABSOLUTE: ReadonlySet<number> = new Set([B.LD_W_ABS, LD_H_ABS, LD_B_ABS]);
const INDIRECT: ReadonlySet<number> = new Set([LD_W_IND, LD_H_IND, LD_B_IND, B.LDX_B_MSH]);

function isLoad(code: number, k: number): boolean {
  if (ABSOLUTE.has(code)) return k < ANCILLARY || (k < ANCILLARY + SKF_AD_MAX && k % 4 === 0);
  return INDIRECT.has(code) || code === MOD_X || (code === MOD_K && k !== 0);
}

/** Program from an array of struct sock_filter; null if bpf_check_classic() would refuse it. */
export function loadSocketFilter(code: Uint8Array): B.BpfProgram | null {
  const p = B.parseBpf(code);
  return p !== null && B.checkBpf(p, isLoad) ? p : null;
}

/** `size` bytes at `at` in network order, −1 beyond the data. */
function load(data: Uint8Array, at: number, size: number): number {
  if (at + size > data.length) return -1;
  let v = 0;
  for (let i = 0; i < size; i++) v = v * 256 + data[at + i]!;
  return v;
}

/** bpf_skb_get_nlattr(): offset of the attribute of `type` in those from `from` to `end`, 0 without one. */
function findAttribute(data: Uint8Array, from: number, end: number, type: number): number {
  for (let at = from; at + 4 <= end;) {
    const length = data[at]! + data[at + 1]! * 256;
    if (length < 4 || at + length > end) return 0;
    if (((data[at + 2]! + data[at + 3]! * 256) & 0x3fff) === type) return at;
    at += Math.ceil(length / 4) * 4;
  }
  return 0;
}

/** What is asked of a message that no device has seen; −1: it has none, and the program ends. */
function ancillary(offset: number, a: number, x: number, data: Uint8Array, protocol: number): number {
  switch (offset) {
    case SKF_AD_PROTOCOL:
      return protocol;
    case SKF_AD_IFINDEX:
    case SKF_AD_HATYPE:
      return -1;
    case SKF_AD_NLATTR:
      return a > data.length - 4 ? 0 : findAttribute(data, a, data.length, x);
    case SKF_AD_NLATTR_NEST: {
      if (a > data.length - 4) return 0;
      const length = data[a]! + data[a + 1]! * 256;
      return a + length > data.length ? 0 : findAttribute(data, a + 4, a + length, x);
    }
    case SKF_AD_ALU_XOR_X:
      return (a ^ x) >>> 0;
    case SKF_AD_RANDOM:
      return random48() % 0x100000000;
    default:
      // No kind, mark, queue, hash, CPU and VLAN.
      return 0;
  }
}

class Message implements B.BpfData {
  private bytes: Uint8Array = new Uint8Array(0);
  private protocol = 0;

  look(bytes: Uint8Array, protocol: number): this {
    this.bytes = bytes;
    this.protocol = protocol;
    return this;
  }

  get length(): number {
    return this.bytes.length;
  }

  load(code: number, k: number, a: number, x: number): number {
    const { bytes } = this;
    switch (code) {
      case B.LD_W_ABS:
      case LD_H_ABS:
      case LD_B_ABS:
        if (k >= ANCILLARY) return ancillary(k - ANCILLARY, a, x, bytes, this.protocol);
        return load(bytes, k, code === B.LD_W_ABS ? 4 : code === LD_H_ABS ? 2 : 1);
      case B.LDX_B_MSH: {
        const header = load(bytes, k, 1);
        return header < 0 ? -1 : (header & 0xf) * 4;
      }
      default:
        return load(bytes, (x + k) >>> 0, code === LD_W_IND ? 4 : code === LD_H_IND ? 2 : 1);
    }
  }
}

const message = new Message();

/** How many bytes of `data` are kept; `protocol`: skb->protocol. */
export function runSocketFilter(p: B.BpfProgram, data: Uint8Array, protocol: number): number {
  return Math.max(0, B.runBpf(p, message.look(data, protocol)));
}
