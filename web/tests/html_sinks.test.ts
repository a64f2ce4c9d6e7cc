import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const SOURCE = join(import.meta.dirname, '../src');
const SINKS =
  /\{@html|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function/;

it('sets no HTML: only nodes that the cleaner made reach the page', () => {
  const files = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' });
  const sources = files.filter((name) => /\.(ts|svelte)$/.test(name));
  const found = sources.filter((name) => SINKS.test(readFileSync(join(SOURCE, name), 'utf8')));
  expect(found).toEqual([]);
});
