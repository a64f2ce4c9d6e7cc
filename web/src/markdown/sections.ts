/**
 * Groups blocks into sections, and sections into chapters. In an answer of ten thousand blocks a
 * frame then changes the last section only, and the browser looks at few chapters and lays out only
 * what is visible.
 */

import type { Block } from './blocks';

const BLOCKS = 32;
const SECTIONS = 8;

export interface Section {
  readonly blocks: readonly Block[];
  /** The block in it that is being written. */
  readonly growing: Block | null;
  /** No further block will be added to it. */
  readonly isFull: boolean;
}

export interface Chapter {
  readonly sections: readonly Section[];
  /**
   * No further section will be added to it. The browser may leave it out while it is out of sight.
   * What is being written is never in it: its height would be guessed.
   */
  readonly isFull: boolean;
}

/**
 * The sections of an answer; unchanged ones are the same objects as in `before`. A block never
 * moves to another section, because it would then be drawn again.
 */
export function sectionsOf(
  blocks: readonly Block[],
  growing: Block | null,
  before: readonly Section[],
): readonly Section[] {
  return chunks(blocks, BLOCKS, (part, isFull, index) => {
    // Any block may be another one: late definitions of reference links change single blocks.
    if (isUnchanged(before[index], before[index]?.blocks, part, isFull)) return before[index]!;
    const own = growing && part.includes(growing) ? growing : null;
    return { blocks: part, growing: own, isFull };
  });
}

/** The chapters of an answer; unchanged ones are the same objects as in `before`. */
export function chaptersOf(
  sections: readonly Section[],
  before: readonly Chapter[],
): readonly Chapter[] {
  return chunks(sections, SECTIONS, (part, isFull, index) => {
    if (isUnchanged(before[index], before[index]?.sections, part, isFull)) return before[index]!;
    return { sections: part, isFull };
  });
}

/** What `make` makes of every `size` items. A full chunk is followed by another one. */
function chunks<Item, Made>(
  items: readonly Item[],
  size: number,
  make: (part: readonly Item[], isFull: boolean, index: number) => Made,
): Made[] {
  const made: Made[] = [];
  for (let start = 0; start < items.length; start += size)
    made.push(make(items.slice(start, start + size), start + size < items.length, made.length));
  return made;
}

function isUnchanged<Item>(
  before: { readonly isFull: boolean } | undefined,
  known: readonly Item[] | undefined,
  now: readonly Item[],
  isFull: boolean,
): boolean {
  return before?.isFull === true && isFull && known!.every((item, index) => item === now[index]);
}
