/**
 * Cuts long text into slices of their own nodes. Browsers lay out a node whole: one of a megabyte
 * would hold up the page at every change.
 */

/** Characters in a slice, about. */
const SLICE = 8_000;

export interface Slice {
  /** The same for the same place in the text, even if text was taken from the front. */
  readonly key: number;
  readonly text: string;
}

/** Slices that end with lines. A slice stays the same when text before it is taken away. */
export function slicesOf(text: string, from: number): Slice[] {
  const slices: Slice[] = [];
  let start = 0;
  for (let key = Math.floor(from / SLICE); start < text.length; key += 1) {
    const end = sliceEnd(text, (key + 1) * SLICE - from);
    if (end > start) slices.push({ key, text: text.slice(start, end) });
    start = Math.max(start, end);
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
  private finished: string[] = [];
  private end = 0;

  /** Without the line ends between them: each slice is a block. */
  update(text: string): readonly string[] {
    if (text.length < this.end) [this.finished, this.end] = [[], 0];
    for (let cut = this.cutAt(text); cut !== -1; cut = this.cutAt(text)) {
      this.finished.push(text.slice(this.end, cut));
      this.end = cut + 1;
    }
    return [...this.finished, text.slice(this.end)];
  }

  /** The line end where the next slice can be cut; an empty last line would not be seen. */
  private cutAt(text: string): number {
    let at = text.indexOf('\n', this.end + SLICE);
    while (at !== -1 && text[at - 1] === '\n') at = text.indexOf('\n', at + 1);
    return at === text.length - 1 ? -1 : at;
  }
}
