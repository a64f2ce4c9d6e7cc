/**
 * Groups blocks into sections. In an answer of a thousand blocks a frame then changes the last
 * section only, and the browser lays out only visible sections.
 */

import type { Block } from './blocks';

const SECTION = 32;
const GROUP = 8;

export interface Section {
  readonly blocks: readonly Block[];
  /** The block in it that is being written. */
  readonly growing: Block | null;
  /** No further block will be added to it. */
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
  const sections: Section[] = [];
  for (let start = 0; start < blocks.length; start += SECTION) {
    const end = start + SECTION;
    const isFull = end < blocks.length;
    const known = before[sections.length];
    // Any of them may be another one: late definitions of reference links change single blocks.
    const isSame =
      known?.isFull === true &&
      isFull &&
      known.blocks.every((block, index) => block === blocks[start + index]);
    if (isSame) sections.push(known);
    else {
      const part = blocks.slice(start, end);
      const own = growing && part.includes(growing) ? growing : null;
      sections.push({ blocks: part, growing: own, isFull });
    }
  }
  return sections;
}

/**
 * How many sections, from the first, the browser may leave out while they are out of sight. This
 * changes for several at once: each time Chromium walks through the whole page. The section that is
 * being written is never among them, because its height would be guessed.
 */
export function asideCount(sections: readonly Section[]): number {
  return Math.max(0, sections.length - 1 - ((sections.length - 1) % GROUP));
}
