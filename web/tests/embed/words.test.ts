import { expect, it } from 'vitest';
import { WIDGET_WORDS, wordsFor } from '../../src/embed/words';

const HAN = /\p{Script=Han}/u;

it('the words of the widget are of their language', () => {
  const { en, zh } = WIDGET_WORDS;
  expect(Object.keys(zh).sort()).toEqual(Object.keys(en).sort());
  for (const name of ['title', 'greeting', 'closeChat', 'keyRefused'] as const) {
    expect(zh[name], name).toMatch(HAN);
    expect(en[name], name).not.toMatch(HAN);
  }
  for (const words of [en, zh]) {
    expect(words.open('Help')).toContain('Help');
    expect(words.pageRefused('https://wiki.example')).toContain('--origin https://wiki.example');
  }
});

it('the language is the first of the page that there are words for', () => {
  expect(wordsFor(['zh-TW']).language).toBe('zh');
  expect(wordsFor(['fr', 'zh']).language).toBe('zh');
  expect(wordsFor(['fr']).language).toBe('en');
});
