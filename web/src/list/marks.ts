/** What a search has found in a text. */

import type { Mark } from '../wire';

export interface Piece {
  readonly text: string;
  readonly isFound: boolean;
}

/** A snippet in pieces; marks count in bytes of UTF-8. */
export function pieces(snippet: string, marks: readonly Mark[]): Piece[] {
  const bytes = new TextEncoder().encode(snippet);
  const decoder = new TextDecoder();
  const text = (from: number, to: number) => decoder.decode(bytes.subarray(from, to));
  const found: Piece[] = [];
  let at = 0;
  for (const { start, end } of marks) {
    if (start > at) found.push({ text: text(at, start), isFound: false });
    if (end > start) found.push({ text: text(start, end), isFound: true });
    at = Math.max(at, end);
  }
  if (at < bytes.length) found.push({ text: text(at, bytes.length), isFound: false });
  return found;
}
