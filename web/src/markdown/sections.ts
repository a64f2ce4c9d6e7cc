/**
 * Puts blocks together into sections. Of an answer of a thousand blocks, a frame then concerns the
 * last section only, and the browser lays out those that are seen.
 */

import type { Block } from './blocks';

const SECTION = 32;

export interface Sections {
  /** Full sections of finished blocks: the same array until another one is full. */
  readonly whole: readonly (readonly Block[])[];
  /** The blocks behind them. */
  readonly rest: readonly Block[];
}

export const NO_SECTIONS: Sections = { whole: [], rest: [] };

/** The sections of an answer, with those of `before` that have not changed. */
export function sectionsOf(blocks: readonly Block[], before: Sections): Sections {
  // The last two blocks can still change.
  const count = Math.max(0, Math.floor((blocks.length - 2) / SECTION));
  const isSame = (section: readonly Block[], index: number) => {
    const start = index * SECTION;
    return section[0] === blocks[start] && section.at(-1) === blocks[start + SECTION - 1];
  };
  const rest = blocks.slice(count * SECTION);
  const known = before.whole.slice(0, count);
  if (count === before.whole.length && known.every(isSame)) return { whole: before.whole, rest };
  const whole = Array.from({ length: count }, (_, index) => {
    const section = known[index];
    const start = index * SECTION;
    return section && isSame(section, index) ? section : blocks.slice(start, start + SECTION);
  });
  return { whole, rest };
}
