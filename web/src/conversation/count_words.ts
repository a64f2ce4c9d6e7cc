/**
 * Counts words as a reader would: a Chinese, Japanese or Korean character is one, and so is every
 * other run of letters and digits.
 */
export function countWords(text: string): number {
  return text.match(WORD)?.length ?? 0;
}

const CHARACTER = '\\p{Script=Han}|\\p{Script=Hiragana}|\\p{Script=Katakana}|\\p{Script=Hangul}';
const WORD = new RegExp(
  `${CHARACTER}|(?:(?!${CHARACTER})[\\p{L}\\p{N}])(?:(?!${CHARACTER})[\\p{L}\\p{N}\\p{M}'’_-])*`,
  'gu',
);
