/**
 * The binding to the host kernel: koffi, and shim.so whose functions return −errno. In the bundled program
 * koffi.node and shim.so lie beside the bundle; when run from source they come from node_modules and dist/.
 */
import { createRequire } from 'node:module';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

type Koffi = typeof import('koffi');

const require = createRequire(import.meta.url);
const here = dirname(fileURLToPath(import.meta.url));

/** Directory of the built native parts: shim.so, launcher, stub. */
export const nativeDir: string = existsSync(join(here, 'shim.so')) ? here : join(here, '../../dist');

export const koffi: Koffi = existsSync(join(here, 'koffi.node'))
  ? (require(join(here, 'koffi.node')) as Koffi)
  : (require('@koromix/koffi-linux-x64') as Koffi);

const shimPath = join(nativeDir, 'shim.so');
if (!existsSync(shimPath)) {
  throw new Error(`${shimPath} is missing: run "npm run build" first`);
}
export const shim = koffi.load(shimPath);
