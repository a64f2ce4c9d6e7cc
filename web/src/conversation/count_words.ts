/**
 * Counts words as a reader would: a Chinese, Japanese or Korean character is one, and so is every
 * other run of letters and digits.
 */
export function countWords(text: string): number {
  return text.match(WORD)?.length ?? 0;
}

/** The words of a text that grows. */
export interface WordCount {
  readonly count: number;
  /** Whether the text ends in a word that the next piece may continue. */
  readonly inWord: boolean;
}

export const NO_WORDS: WordCount = { count: 0, inWord: false };

/** Counts a further piece; the work depends on the piece alone. */
export function addPiece(words: WordCount, piece: string): WordCount {
  // One letter stands for the word that the piece may continue.
  const text = words.inWord ? `a${piece}` : piece;
  const found = text.match(WORD) ?? [];
  const last = found.at(-1);
  const inWord = last !== undefined && text.endsWith(last) && !ONE_CHARACTER.test(last);
  return { count: words.count + found.length - (words.inWord ? 1 : 0), inWord };
}

const CHARACTER = '\\p{Script=Han}|\\p{Script=Hiragana}|\\p{Script=Katakana}|\\p{Script=Hangul}';
const WORD = new RegExp(
  `${CHARACTER}|(?:(?!${CHARACTER})[\\p{L}\\p{N}])(?:(?!${CHARACTER})[\\p{L}\\p{N}\\p{M}'’_-])*`,
  'gu',
);
const ONE_CHARACTER = new RegExp(`^(?:${CHARACTER})$`, 'u');
