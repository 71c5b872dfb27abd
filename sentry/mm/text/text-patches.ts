/**
 * Which files' text is worth patching, and the patched copies. A busy text is found by looking at where calls trap; once
 * it has cost as much as the analysis will, it is patched for the whole sandbox: processes that map it later have
 * it from their first instruction, those that run get it put in place of the file's.
 */
import { PROT_EXEC, PROT_READ } from '../../abi/mman.ts';
import { HostBuffer } from '../../host/memory.ffi.ts';
import { fstatIdentity, pread } from '../../host/sys.ffi.ts';
import { FileBacking } from '../backing.ts';
import type { Vma } from '../vma.ts';
import { Decoder } from './decoder.ts';
import { readElfText } from './elf-text.ts';
import { isFrequent, patchText } from './patch.ts';
import { findSites } from './sites.ts';
import { TextImage } from './text-image.ts';

/** Every so many calls that trap one is looked at. A prime: calls that come in turn must all be seen. */
const SAMPLE_EVERY = 17;
/** Looks at a text before it is patched: 8,000 calls, which cost about as much more as the analysis of a libc. */
const SAMPLES_TO_PATCH = 500;
/** Bounds on what guests can make the kernel hold. */
const MAX_TEXTS = 1024;
const MAX_IMAGES = 32;
const MAX_IMAGE_BYTES = 64 * 1024 * 1024;

interface Text {
  samples: number;
  /** undefined: not tried yet; null: cannot be patched. */
  image: TextImage | null | undefined;
}

export interface TextPatchOptions {
  /** The file iced_x86_bg.wasm. */
  wasm: Uint8Array;
  /** Every text is patched at its first call. */
  always: boolean;
  /** Where the platform takes calls of patched sites. */
  entry: number;
  /** Calls that need a trap. */
  skip: (sysno: number) => boolean;
}

export class TextPatches {
  private readonly options: TextPatchOptions;
  private readonly texts = new Map<string, Text>();
  private decoder: Decoder | null = null;
  private sampleIn = 1;
  private images = 0;
  private imageBytes = 0;
  sites = 0;

  constructor(options: TextPatchOptions) {
    this.options = options;
  }

  /** A call has trapped: true if somebody should look where. */
  get due(): boolean {
    if (--this.sampleIn > 0) return false;
    this.sampleIn = this.options.always ? 1 : SAMPLE_EVERY;
    return true;
  }

  get count(): number {
    return this.images;
  }

  /** A call has trapped in `v`: its text is patched if that is worthwhile by now. The image that fits it, or null. */
  sample(v: Vma): TextImage | null {
    const text = this.lookUp(v, true);
    if (text === null) {
      v.unfit = true;
      return null;
    }
    text.samples++;
    if (text.image === undefined) {
      if (text.samples < SAMPLES_TO_PATCH && !this.options.always) return null;
      try {
        text.image = this.makeImage(v.backing!.hostFd);
      } catch {
        // WebAssembly has trapped: a bug of the decoder, which costs this text its patches.
        text.image = null;
      }
    }
    if (text.image !== null && fits(v, text.image)) return text.image;
    v.unfit = true;
    return null;
  }

  /** The patched text for a mapping that is being made. */
  find(v: Vma): TextImage | null {
    if (this.images === 0) return null;
    const image = this.lookUp(v, false)?.image ?? null;
    return image !== null && fits(v, image) ? image : null;
  }

  private lookUp(v: Vma, enter: boolean): Text | null {
    if (v.prot !== (PROT_READ | PROT_EXEC) || v.shared || !v.asMapped) return null;
    if (!(v.backing instanceof FileBacking)) return null;
    const id = fstatIdentity(v.backing.hostFd);
    let text = this.texts.get(id);
    if (text === undefined) {
      if (!enter || id === '' || this.texts.size >= MAX_TEXTS) return null;
      text = { samples: 0, image: undefined };
      this.texts.set(id, text);
    }
    return text;
  }

  private makeImage(fd: number): TextImage | null {
    if (this.images >= MAX_IMAGES) return null;
    const elf = readElfText((offset, len) => {
      const b = readFile(fd, offset, len, len);
      return b === null ? null : b.bytes;
    });
    if (elf === null || this.imageBytes + elf.length > MAX_IMAGE_BYTES) return null;
    // The last page may lie half behind the end of the file.
    const pages = readFile(fd, elf.offset, elf.length, elf.code);
    if (pages === null) return null;
    this.decoder ??= new Decoder(this.options.wasm);
    this.decoder.load(pages.bytes);
    const sites = findSites(this.decoder, pages.bytes.subarray(0, elf.code), elf, isFrequent);
    this.decoder.unload();
    const patch = patchText(pages.bytes, elf, sites, this.options.entry, this.options.skip);
    const image = patch === null ? null : TextImage.create(elf.offset, pages, patch);
    if (image === null) return null;
    this.images++;
    this.imageBytes += image.length;
    this.sites += image.sites;
    return image;
  }
}

function fits(v: Vma, image: TextImage): boolean {
  return v.offset + v.backing!.hostDelta === image.offset && v.length === image.length;
}

/** `len` bytes of the file, of which at least `needed` have to be there; the rest is 0. */
function readFile(fd: number, offset: number, len: number, needed: number): HostBuffer | null {
  if (len <= 0 || offset < 0 || !Number.isSafeInteger(offset + len)) return null;
  const b = new HostBuffer(len);
  const n = pread(fd, b.addr, len, offset);
  return n < needed ? null : b;
}

/** The sandbox's; null where sites are not patched. */
let patches: TextPatches | null = null;

export function setTextPatches(p: TextPatches): void {
  patches = p;
}

export function textPatches(): TextPatches | null {
  return patches;
}
