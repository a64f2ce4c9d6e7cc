/** Blocks of code within a quote or an item: a text that is too long is not cut in them. */

export interface Fence {
  /** Where its first line begins. */
  readonly start: number;
  /** Behind its last line; `Infinity` while its end has not come. */
  readonly end: number;
}

/**
 * Marks of quotes and items before a fence, the fence, and the name of a language without ticks.
 */
const OPENING = /^((?:[ \t>]|(?:[-*+]|\d{1,9}[.)])(?=[ \t]))*)(`{3,}(?=[^`\n]*$)|~{3,})/;

/** The fence that a cut of `text` at `at` would fall into. */
export function fenceAround(text: string, at: number): Fence | null {
  for (let start = 0; start < at; start = endOfLine(text, start)) {
    const opening = OPENING.exec(text.slice(start, endOfLine(text, start)).trimEnd());
    if (!opening) continue;
    const end = endOfFence(text, start, opening);
    if (at < end) return at > start ? { start, end } : null;
    // The loop goes on behind its last line.
    start = end - 1;
  }
  return null;
}

function endOfFence(text: string, start: number, [, before = '', marks = '']: string[]): number {
  const closing = new RegExp(`^[ \\t>]*${marks[0]!}{${marks.length},}\\s*$`);
  const quotes = quotesIn(before);
  for (let line = endOfLine(text, start); line < text.length;) {
    const end = endOfLine(text, line);
    const words = text.slice(line, end);
    // A quote ends with its marks, and so does the code in it.
    if (quotesIn(/^[ \t>]*/.exec(words)![0]) < quotes) return line;
    if (closing.test(words) && end <= text.length) return end;
    line = end;
  }
  return Infinity;
}

/** Index behind a line and its end. */
function endOfLine(text: string, from: number): number {
  const at = text.indexOf('\n', from);
  return at === -1 ? text.length : at + 1;
}

function quotesIn(marks: string): number {
  return marks.split('>').length - 1;
}
