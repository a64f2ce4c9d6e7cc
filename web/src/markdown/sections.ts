/**
 * Groups blocks into sections, and sections into chapters. In an answer of ten thousand blocks a
 * frame then changes the last section only, and the browser looks at few chapters and lays out only
 * what is visible.
 */

import type { Block } from './blocks';

const BLOCKS = 32;
const SECTIONS = 8;

/** Items that follow each other. */
export interface Chunk<Item> {
  readonly items: readonly Item[];
  /** Another chunk follows, so no item will be added to it. */
  readonly isFull: boolean;
}

export type Section = Chunk<Block>;

/**
 * The browser may leave a full chapter out while it is out of sight. What is being written is never
 * in one: its height would be guessed.
 */
export type Chapter = Chunk<Section>;

/**
 * The sections of an answer. A block never moves to another section, because it would then be drawn
 * again.
 */
export function sectionsOf(
  blocks: readonly Block[],
  before: readonly Section[],
): readonly Section[] {
  return chunksOf(blocks, BLOCKS, before);
}

/** The chapters of an answer. */
export function chaptersOf(
  sections: readonly Section[],
  before: readonly Chapter[],
): readonly Chapter[] {
  return chunksOf(sections, SECTIONS, before);
}

/** Chunks of `size` items. A full one that has not changed is the same object as in `before`. */
function chunksOf<Item>(
  items: readonly Item[],
  size: number,
  before: readonly Chunk<Item>[],
): Chunk<Item>[] {
  const chunks: Chunk<Item>[] = [];
  for (let start = 0; start < items.length; start += size) {
    const known = before[chunks.length];
    const isFull = start + size < items.length;
    // Any item may be another one: late definitions of reference links change single blocks.
    const isSame =
      known?.isFull === true &&
      isFull &&
      known.items.every((item, index) => item === items[start + index]);
    chunks.push(isSame ? known : { items: items.slice(start, start + size), isFull });
  }
  return chunks;
}
