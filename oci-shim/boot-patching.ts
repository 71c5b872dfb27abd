/** Sets up the patching of syscall sites; while files can still be read. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { nativeDir } from '../sentry/host/koffi.ffi.ts';
import { setTextPatches, TextPatches } from '../sentry/mm/text/text-patches.ts';
import type { Platform } from '../sentry/platform/platform.ts';
import type { Patching } from './sandbox-config.ts';

export function setUpPatching(platform: Platform, mode: Patching): void {
  if (platform.callEntry === 0 || mode === 'off') return;
  // The confined process has no system calls for protection keys, which V8 would put on WebAssembly's code.
  setFlagsFromString('--no-wasm-memory-protection-keys');
  // The decoder runs once or twice: optimizing it costs another CPU more than it saves.
  setFlagsFromString('--no-wasm-dynamic-tiering');
  setTextPatches(
    new TextPatches({
      wasm: readFileSync(join(nativeDir, 'iced_x86_bg.wasm')),
      always: mode === 'always',
      entry: platform.callEntry,
      skip: (sysno) => platform.needsTrap(sysno),
    }),
  );
}
