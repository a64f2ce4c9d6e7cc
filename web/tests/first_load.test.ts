import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync } from 'node:zlib';
import { expect, it } from 'vitest';

const ASSETS = join(import.meta.dirname, '../../crates/server/assets');
const MOST_BYTES = 100_000;

/** The page, and everything that it names: what a browser needs before it shows anything. */
it('needs less than 100 kB before the page is shown, as it is served', () => {
  const page = readFileSync(join(ASSETS, 'index.html'), 'utf8');
  const named = [...page.matchAll(/(?:src|href)="\.\/([^"]+\.(?:js|css))"/g)].map(
    ([, name]) => name!,
  );
  expect(named.length).toBeGreaterThan(1);
  const sizes = ['index.html', ...named].map(
    (name) => brotliCompressSync(readFileSync(join(ASSETS, name))).length,
  );
  expect(sizes.reduce((all, size) => all + size)).toBeLessThan(MOST_BYTES);
});
