/** C source generated from the TypeScript descriptions: build.js writes it beside the native sources' output. */
import * as layout from '../stub-layout.ts';
import { guestFilter } from './guest-filter.ts';

/** stub-layout.h: every number of stub-layout.ts as a macro, and as NAME_ASM, a string for assembly. */
export function layoutHeader(): string {
  const lines = Object.entries(layout).map(
    ([name, value]) =>
      `#define ${name} 0x${value.toString(16)}UL\n#define ${name}_ASM "0x${value.toString(16)}"`,
  );
  return `// Generated from platform-ptrace/stub-layout.ts.\n#pragma once\n${lines.join('\n')}\n`;
}

/** guest-filter.h: the body of a struct sock_filter array. */
export function filterHeader(): string {
  const lines = guestFilter().map((i) => `{${i.code}, ${i.jt}, ${i.jf}, ${i.k}u},`);
  return `// Generated from platform-ptrace/seccomp/guest-filter.ts.\n${lines.join('\n')}\n`;
}
