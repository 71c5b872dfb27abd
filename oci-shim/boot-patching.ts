/** Sets up the patching of syscall sites; while files can still be read. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { nativeDir } from '../sentry/host/koffi.ffi.ts';
import { setTextPatches, TextPatches } from '../sentry/mm/text/text-patches.ts';
import type { Platform } from '../sentry/platform/platform.ts';
import type { Patching } from './sandbox-config.ts';

export function setUpPatching(platform: Platform, mode: Patching): void {
  if (platform.callEntry === 0 || mode === 'off') return;
  setTextPatches(
    new TextPatches({
      wasm: readFileSync(join(nativeDir, 'iced_x86_bg.wasm')),
      always: mode === 'always',
      entry: platform.callEntry,
      skip: (sysno) => platform.needsTrap(sysno),
    }),
  );
}
