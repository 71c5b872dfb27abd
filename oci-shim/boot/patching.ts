/** Sets up the patching of syscall sites. */
import { setTextPatches, TextPatches } from '../../sentry/mm/text/text-patches.ts';
import type { Platform } from '../../sentry/platform/platform.ts';
import type { Patching } from '../sandbox-config.ts';

export function setUpPatching(platform: Platform, mode: Patching): void {
  if (platform.callEntry === 0 || mode === 'off') return;
  setTextPatches(
    new TextPatches({
      always: mode === 'always',
      entry: platform.callEntry,
      skip: (sysno) => platform.needsTrap(sysno),
    }),
  );
}
