/**
 * Cuts long text into slices of their own nodes. Browsers lay out a node whole: one of a megabyte
 * would hold up the page at every change.
 */

import { copyOf } from './copy_of';

/** Characters in a slice, about. */
const SLICE = 8_000;

/** Slices that end with lines. */
export function slicesOf(text: string): string[] {
  const slices: string[] = [];
  for (let start = 0, end; start < text.length; start = end) {
    end = sliceEnd(text, start + SLICE);
    slices.push(text.slice(start, end));
  }
  return slices;
}

/** Behind the first line end at or after `at`; without one that is near, there or thereabouts. */
function sliceEnd(text: string, at: number): number {
  if (at >= text.length) return text.length;
  const line = text.indexOf('\n', at);
  if (line !== -1 && line - at < SLICE / 2) return line + 1;
  const isHalf = /[\udc00-\udfff]/.test(text[at] ?? '');
  return isHalf ? at + 1 : at;
}

/** The slices of a text that only grows: of all but the last nothing changes any more. */
export class GrowingSlices {
  private finished: (readonly string[])[] = [];
  private end = 0;

  /**
   * Without the line ends between them: each slice is a block. A slice with a very long line is
   * several pieces, which stand side by side in it.
   */
  update(text: string): readonly (readonly string[])[] {
    if (text.length < this.end) [this.finished, this.end] = [[], 0];
    for (let cut = this.cutAt(text); cut !== -1; cut = this.cutAt(text)) {
      this.finished.push(piecesOf(copyOf(text.slice(this.end, cut))));
      this.end = cut + 1;
    }
    return [...this.finished, piecesOf(text.slice(this.end))];
  }

  /** The line end where the next slice can be cut; an empty last line would not be seen. */
  private cutAt(text: string): number {
    let at = text.indexOf('\n', this.end + SLICE);
    while (at !== -1 && text[at - 1] === '\n') at = text.indexOf('\n', at + 1);
    return at === text.length - 1 ? -1 : at;
  }
}

/** Pieces that stay the same while the text grows; most slices are one. */
function piecesOf(text: string): readonly string[] {
  const pieces: string[] = [];
  for (let start = 0, end; start < text.length || start === 0; start = end) {
    end = start + 2 * SLICE;
    // Never between the halves of a character.
    if (/[\udc00-\udfff]/.test(text[end] ?? '')) end += 1;
    pieces.push(text.slice(start, end));
  }
  return pieces;
}
