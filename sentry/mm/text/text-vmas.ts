/** Mappings of patched text: made like any other, and given their own text back before they are changed. */
import type { Orders } from '../../platform/platform.ts';
import { hostProt, orderKey, orderMap } from '../host-map.ts';
import type { MemoryManager } from '../memory-manager.ts';
import type { Vma } from '../vma.ts';
import type { TextImage } from './text-image.ts';
import { textPatches } from './text-patches.ts';

const MAP_PRIVATE = 2;

export function patchedTextFor(v: Vma): TextImage | null {
  return textPatches()?.find(v) ?? null;
}

/** Puts the patched text in place of the file's, of a mapping nobody has changed. */
export function showPatched(mm: MemoryManager, o: Orders, v: Vma, image: TextImage): void {
  mm.table.modify(v.start, v.end, (text) => {
    text.text = image;
    orderMap(o, text);
  });
}

/** [start, end) will be replaced: a text that loses only a part is restored, because its jumps lead to its end. */
export function keepTextWhole(mm: MemoryManager, o: Orders, start: number, end: number): void {
  let broken: Vma[] | null = null;
  mm.table.forEachIn(start, end, (v) => {
    if (v.text === null) return;
    const base = textBase(v, v.text);
    if (base < start || base + v.text.length > end) (broken ??= []).push(v);
  });
  if (broken !== null) for (const v of broken as Vma[]) restore(mm, o, v);
}

/** [start, end) will be changed or moved: shows the file's own text there, with the whole text it belongs to. */
export function restoreText(mm: MemoryManager, o: Orders, start: number, end: number): void {
  const found: Vma[] = [];
  mm.table.forEachIn(start, end, (v) => {
    if (v.text !== null) found.push(v);
  });
  for (const v of found) restore(mm, o, v);
}

function textBase(v: Vma, image: TextImage): number {
  return v.start - (v.offset + v.backing!.hostDelta - image.offset);
}

function restore(mm: MemoryManager, o: Orders, v: Vma): void {
  const image = v.text;
  if (image === null) return; // With another part.
  const base = textBase(v, image);
  mm.table.modify(base, base + image.length, (part) => {
    if (part.text !== image) return;
    part.text = null;
    part.asMapped = false;
    const fd = image.originalFd();
    const offset = part.offset + part.backing!.hostDelta;
    // Without the second copy: from the file itself.
    if (fd < 0) orderMap(o, part);
    else {
      o.mmap(part.start, part.length, hostProt(part.prot), MAP_PRIVATE, fd, offset - image.offset);
      orderKey(o, part);
    }
  });
}
