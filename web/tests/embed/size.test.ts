import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync } from 'node:zlib';
import { expect, it } from 'vitest';

const SCRIPT = join(import.meta.dirname, '../../../crates/server/assets/embed.js');
const MOST_BYTES = 60 * 1024;

it('the widget is one script of at most 60 KB, as it is served', () => {
  const script = readFileSync(SCRIPT);
  expect(brotliCompressSync(script).length).toBeLessThanOrEqual(MOST_BYTES);
  const text = script.toString('utf8');
  // Pages that let only named policies set HTML need no other name than ours.
  expect(text).not.toContain('svelte-trusted-html');
  // It loads nothing more, and leaves nothing in the page's own scope.
  expect(text).not.toMatch(/\bimport\s*\(/);
  expect(text.slice(0, 40)).toMatch(/^!?\(?function\(\)|^\(\(\)=>/);
  expect(text).not.toContain('%WIDGET_STYLES%');
  expect(text).not.toMatch(/\drem\b/);
});
