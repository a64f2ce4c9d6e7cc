import { expect, it } from 'vitest';
import { type Build, cacheName, isCacheOf, keptFor } from '../../src/install/kept';

const FOLDER = 'https://host.example/chat/';
const BUILD: Build = {
  version: '0123abcd',
  entry: 'assets/index-AAAAAAAA.js',
  hashed: ['assets/index-AAAAAAAA.js', 'assets/index-BBBBBBBB.css'],
  fixed: ['assets/theme.js'],
};

interface Case {
  readonly url: string;
  readonly mode?: RequestMode;
  readonly method?: string;
  readonly first: 'network' | 'cache' | null;
}

it('answers for the page and its files, and for nothing else', () => {
  const cases: Case[] = [
    { url: FOLDER, mode: 'navigate', first: 'network' },
    { url: `${FOLDER}?new#c=1`, mode: 'navigate', first: 'network' },
    { url: `${FOLDER}index.html`, mode: 'navigate', first: 'network' },
    { url: `${FOLDER}assets/index-AAAAAAAA.js`, first: 'cache' },
    { url: `${FOLDER}assets/theme.js`, first: 'network' },

    { url: FOLDER, first: null },
    { url: FOLDER, mode: 'navigate', method: 'POST', first: null },
    { url: `${FOLDER}assets/index-AAAAAAAA.js`, mode: 'navigate', first: null },
    { url: `${FOLDER}assets/index-AAAAAAAA.js`, method: 'HEAD', first: null },
    { url: `${FOLDER}assets/index-OTHEROTH.js`, first: null },
    { url: `${FOLDER}sw.js`, first: null },
    { url: `${FOLDER}chat.html`, mode: 'navigate', first: null },
    { url: `${FOLDER}api/info`, first: null },
    { url: `${FOLDER}api/conversations/export`, mode: 'navigate', first: null },
    { url: `${FOLDER}v1/models`, first: null },
    { url: 'https://host.example/', mode: 'navigate', first: null },
    { url: 'https://host.example/other/assets/theme.js', first: null },
    { url: 'https://other.example/chat/assets/theme.js', first: null },
  ];
  for (const { url, mode = 'cors', method = 'GET', first } of cases) {
    const kept = keptFor({ url, mode, method }, FOLDER, BUILD);
    expect(kept?.first ?? null, `${method} ${mode} ${url}`).toBe(first);
  }
});

it('keeps one page, whatever the address asks of it', () => {
  for (const rest of ['', '?q=shared', 'index.html'])
    expect(
      keptFor({ url: FOLDER + rest, mode: 'navigate', method: 'GET' }, FOLDER, BUILD)?.url,
    ).toBe(FOLDER);
});

it('tells caches of its folder from those of other folders of the host', () => {
  expect(isCacheOf(FOLDER, cacheName(FOLDER, 'old'))).toBe(true);
  expect(isCacheOf(FOLDER, cacheName('https://host.example/', 'old'))).toBe(false);
  expect(isCacheOf('https://host.example/', cacheName(FOLDER, 'old'))).toBe(false);
  expect(isCacheOf(FOLDER, 'of another program')).toBe(false);
});
