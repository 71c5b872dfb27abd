/** Events as inotify(7) gives them, from a descriptor of the gofer's. */
import type { HostBuffer } from '../../host/memory.ffi.ts';

export interface HostEvent {
  readonly watch: number;
  readonly mask: number;
  readonly cookie: number;
  /** '' : about what is watched itself. */
  readonly name: string;
}

const EVENT_SIZE = 16;
/** NAME_MAX and padding: whatever claims more is not inotify's. */
const NAME_SPACE_MAX = 256 + EVENT_SIZE;

/** Calls `take` for each event of the first `length` bytes; names are padded with NUL bytes. */
export function eachEvent(buffer: HostBuffer, length: number, take: (e: HostEvent) => void): void {
  const { view, bytes } = buffer;
  let at = 0;
  while (at + EVENT_SIZE <= length) {
    const nameAt = at + EVENT_SIZE;
    const space = view.getUint32(at + 12, true);
    if (space > NAME_SPACE_MAX || nameAt + space > length) return;
    let end = nameAt;
    while (end < nameAt + space && bytes[end] !== 0) end++;
    take({
      watch: view.getInt32(at, true),
      mask: view.getUint32(at + 4, true),
      cookie: view.getUint32(at + 8, true),
      name: bytes.toString('latin1', nameAt, end),
    });
    at = nameAt + space;
  }
}
