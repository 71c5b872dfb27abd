/** Blocks of commands and files in the documents, for the tests that run them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './sandbox.ts';

/** Text of the blocks in a language below a heading of the second level, in their order. There is at least one. */
export function blocksOf(document: string, heading: string, language: string): [string, ...string[]] {
  const text = readFileSync(join(root, document), 'utf8');
  const section = text.split(/^## /m).find((s) => s.startsWith(`${heading}\n`)) ?? '';
  const blocks = [...section.matchAll(/^```(\w+)\n([^]*?)^```$/gm)].filter((m) => m[1] === language);
  if (blocks.length === 0) throw new Error(`${document}: no ${language} below "${heading}"`);
  return blocks.map((m) => m[2]!) as [string, ...string[]];
}
