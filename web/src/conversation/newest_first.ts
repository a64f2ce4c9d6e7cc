/** Draws a long conversation in batches, the newest messages first, because they are visible. */

/** Characters in a batch, about; most conversations are drawn in one batch. */
const CHARACTERS = 24_000;

/**
 * The index of the first message that is drawn after the next batch, if messages from the index
 * `from` on are drawn already. 0 means that all messages are drawn.
 */
export function nextFrom(messages: readonly { text: string }[], from = messages.length): number {
  let left = CHARACTERS;
  let next = Math.min(from, messages.length);
  while (next > 0 && left > 0) {
    next -= 1;
    left -= messages[next]!.text.length;
  }
  return next;
}
