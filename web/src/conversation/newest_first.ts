/** Draws a long conversation in batches, the newest messages first, because they are visible. */

import type { Message } from './types';

/** Characters in a batch, about; most conversations are drawn in one batch. */
const CHARACTERS = 24_000;

/**
 * The first id that is drawn after the next batch, if messages from the id `from` on are drawn
 * already. 0 means that all messages are drawn.
 */
export function nextFrom(messages: readonly Message[], from = Infinity): number {
  let left = CHARACTERS;
  const earlier = messages.filter(({ id }) => id < from);
  const at = earlier.findLastIndex(({ text }) => (left -= text.length) < 0);
  return at <= 0 ? 0 : earlier[at]!.id;
}
