import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readLaunch } from '../../src/install/launch';

const WEB = join(import.meta.dirname, '../..');
const read = (name: string) => readFileSync(join(WEB, name), 'utf8');
const manifest = JSON.parse(read('public/assets/banter.webmanifest')) as {
  id?: string;
  theme_color: string;
  background_color: string;
  start_url: string;
  scope: string;
  shortcuts: { url: string }[];
  share_target: { action: string; params: Record<string, string> };
};

it('stays in the folder where the page is', () => {
  const address = 'https://host.example/chat/assets/banter.webmanifest';
  const { start_url, scope, shortcuts, share_target } = manifest;
  for (const url of [start_url, scope, share_target.action, ...shortcuts.map(({ url }) => url)])
    expect(new URL('./', new URL(url, address)).href).toBe('https://host.example/chat/');
  // An id is relative to the host: two servers in two folders of it would be one program.
  expect(manifest.id).toBeUndefined();
});

it('opens the page with what the page reads', () => {
  const [shortcut] = manifest.shortcuts;
  expect(readLaunch(new URL(shortcut!.url, 'https://host.example/').search).startsNew).toBe(true);
  const { title, text, url } = manifest.share_target.params;
  const query = new URLSearchParams({ [title!]: 'a', [text!]: 'b', [url!]: 'c' });
  expect(readLaunch(`?${query}`).text).toBe('a\nb\nc');
});

it('has the colours of the page, as have the bars around it', () => {
  const [, light, dark] = /--surface: light-dark\((#\w+), (#\w+)\)/.exec(read('src/tokens.css'))!;
  expect([manifest.theme_color, manifest.background_color]).toEqual([light, light]);
  const bars = read('index.html').matchAll(/"theme-color"\s+content="(#\w+)"[^>]+scheme="(\w+)"/g);
  expect([...bars].map(([, color, scheme]) => [scheme, color])).toEqual([
    ['light', light],
    ['dark', dark],
  ]);
});
