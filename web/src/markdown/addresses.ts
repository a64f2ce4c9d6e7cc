/** Which addresses become links, and where an address in the middle of a sentence ends. */

import { CJK } from './emphasis';

/** Full-width punctuation and brackets, and the quotation marks and dashes used with them. */
const SENTENCE_MARK =
  /[\u2014\u2018-\u201f\u2026\u3000-\u3004\u3008-\u3020\u3030\u30fb\ufe30-\ufe4f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65]/u;
/** A CJK character right after a Latin word or its punctuation: it belongs to the sentence. */
const SENTENCE_WORD = new RegExp(`(?<=[A-Za-z\\d)\\]}"'!?.,;:])${CJK}`, 'u');
/** The beginnings of addresses that `marked` knows. */
const BEGINNING = /^(?:[a-z]+:\/\/|www\.|mailto:|xmpp:|[\w.+-]+@)/i;

export function isWebAddress(href: string): boolean {
  return /^(?:https?:\/\/|mailto:)/i.test(href);
}

/**
 * How much of `text` is before the end of the address that it may begin with. Sentences in Chinese
 * and Japanese put no space after an address: it ends at their punctuation, and at a word that
 * follows directly. A word after `/`, `=` or `-` is part of it: `https://zh.wikipedia.org/wiki/北京`.
 */
export function addressEnd(text: string): number {
  if (!BEGINNING.test(text)) return 0;
  const [run] = /^[^\s<]*/.exec(text)!;
  const ends = [run.search(SENTENCE_MARK), run.search(SENTENCE_WORD)].filter((end) => end !== -1);
  return Math.min(run.length, ...ends);
}
