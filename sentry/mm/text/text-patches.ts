/**
 * Which files' text is worth patching, and the patched copies. Busy places are found by looking at where calls trap; once
 * they have cost as much as their analysis will, the functions they are in are patched for the whole sandbox: processes
 * that map the text later have it from their first instruction, those that run get it put in place of the file's. Places that
 * become busy later are added by a further copy.
 */
import { PROT_EXEC, PROT_READ } from '../../abi/mman.ts';
import { HostBuffer } from '../../host/memory.ffi.ts';
import { fstatIdentity, pread } from '../../host/sys.ffi.ts';
import { FileBacking } from '../backing.ts';
import type { Vma } from '../vma.ts';
import { Decoder } from './decoder.ts';
import { readElfText } from './elf-text.ts';
import { isFrequent, patchText, rankSites } from './patch.ts';
import { findSites } from './sites.ts';
import { TextImage } from './text-image.ts';

/** Every so many calls that trap one is looked at. A prime: calls that come in turn must all be seen. */
const SAMPLE_EVERY = 17;
/** Looks at new places of a text before they are patched: some 340 calls; twice as many for each further time. */
const FIRST_LOOKS = 20;
const MAX_TIMES = 6;
/** Places between two times. */
const MAX_PLACES = 256;
/** Bounds on what guests can make the kernel hold. */
const MAX_TEXTS = 1024;
const MAX_IMAGES = 32;
const MAX_IMAGE_BYTES = 64 * 1024 * 1024;

interface Text {
  image: TextImage | null;
  /** File offsets of calls that have been dealt with, and of those that have been seen since. */
  known: Set<number>;
  fresh: Set<number>;
  looks: number;
  times: number;
  /** Nothing more will be patched. */
  done: boolean;
}

export interface TextPatchOptions {
  /** Every text is patched at its first call, and whole. */
  always: boolean;
  /** Where the platform takes calls of patched sites. */
  entry: number;
  /** Calls that need a trap. */
  skip: (sysno: number) => boolean;
}

export class TextPatches {
  private readonly options: TextPatchOptions;
  private readonly texts = new Map<string, Text>();
  private sampleIn = 1;
  private images = 0;
  private imageBytes = 0;

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

  /**
   * The call at `place` of the mapped file has trapped in `v`: it is patched if that is worthwhile by now. The image that is
   * to be shown there, or null if all is well as it is.
   */
  sample(v: Vma, place: number): TextImage | null {
    const text = this.lookUp(v, true);
    // A file that has been written to: the process keeps what it has.
    if (text === null || (v.text !== null && v.text.latest !== text.image)) {
      v.unfit = true;
      return null;
    }
    if (!text.done && !text.known.has(place)) {
      text.looks++;
      if (text.fresh.size < MAX_PLACES) text.fresh.add(place);
      if (this.options.always || text.looks >= FIRST_LOOKS * 2 ** text.times) this.patchMore(text, v);
    }
    const { image } = text;
    if (image === null ? text.done : !fits(v, image)) v.unfit = true;
    return image === null || v.unfit || v.text === image ? null : image;
  }

  /** Patches what has been seen of `text`, which `v` maps. */
  private patchMore(text: Text, v: Vma): void {
    const places = this.options.always ? null : [...text.fresh];
    let image: TextImage | null = null;
    try {
      image = this.makeImage(v.backing!.hostFd, text.image, places);
    } catch {
      // Tables that lie: they cost the text its patches.
      text.done = true;
    }
    for (const place of text.fresh) text.known.add(place);
    text.fresh.clear();
    text.looks = 0;
    if (++text.times >= MAX_TIMES || this.options.always) text.done = true;
    if (image === null) return;
    if (text.image === null) this.images++;
    else {
      this.imageBytes -= text.image.length;
      text.image.replaceBy(image);
    }
    this.imageBytes += image.length;
    text.image = image;
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
      text = { image: null, known: new Set(), fresh: new Set(), looks: 0, times: 0, done: false };
      this.texts.set(id, text);
    }
    return text;
  }

  /** An image with the sites of `old` and those in the functions of `places`, or in all; null if there are no more. */
  private makeImage(fd: number, old: TextImage | null, places: readonly number[] | null): TextImage | null {
    if (old === null && this.images >= MAX_IMAGES) return null;
    const elf = readElfText((offset, len) => {
      const b = readFile(fd, offset, len, len);
      return b === null ? null : b.bytes;
    }, places);
    if (elf === null || elf.functions.length === 0 || this.imageBytes + elf.length > MAX_IMAGE_BYTES)
      return null;
    // The last page may lie half behind the end of the file.
    const pages = old === null ? readFile(fd, elf.offset, elf.length, elf.code) : old.originalPages();
    if (pages === null || pages.size !== elf.length) return null;
    const code = pages.bytes.subarray(0, elf.code);
    const found = findSites(new Decoder(code), code, elf, places === null ? isFrequent : () => true);
    const known = new Set(old?.sites.map((s) => s.at));
    const { skip, entry } = this.options;
    const fresh = rankSites(
      found.filter((s) => !known.has(s.at)),
      skip,
    );
    if (fresh.length === 0) return null;
    const patch = patchText(pages.bytes, elf, [...(old?.sites ?? []), ...fresh], entry);
    if (patch === null || patch.sites.length === known.size) return null;
    return TextImage.create(elf.offset, pages, patch);
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
