/**
 * The binding to the host kernel: koffi, and shim.so whose functions return −errno. In the bundled program
 * koffi.node and shim.so lie beside the bundle; when run from source they come from dist/.
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { atStart, buildingSnapshot } from './at-start.ts';

type Koffi = typeof import('koffi');

/** Directory of the built native parts: shim.so, launcher, stub. */
export let nativeDir: string;
export let koffi: Koffi;
let shim: ReturnType<Koffi['load']>;

atStart(() => {
  // A snapshot has been told where it lies by the name of the program that it stands for.
  const here = dirname(buildingSnapshot ? process.argv[1]! : fileURLToPath(import.meta.url));
  nativeDir = existsSync(join(here, 'shim.so')) ? here : join(here, '../../dist');
  const shimPath = join(nativeDir, 'shim.so');
  if (!existsSync(shimPath)) throw new Error(`${shimPath} is missing: run "npm run build" first`);
  const module = { exports: {} as Koffi };
  process.dlopen(module, join(nativeDir, 'koffi.node'));
  koffi = module.exports;
  shim = koffi.load(shimPath);
});

/** A function of shim.so; `F` is its declaration in TypeScript. */
export function nativeFunction<F>(name: string, result: string, args: string[]): F {
  return shim.func(name, result, args) as unknown as F;
}
