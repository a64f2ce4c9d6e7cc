/** The title of the window, for people who are looking at another window. */

import type { Words } from './words';

const NAME = 'banter';

/** The title of a window that shows the conversation with a title of its own, if it has one. */
export function titleOf(
  conversation: string | null,
  state: { isAnswering: boolean; isUnseen: boolean },
  words: Words,
): string {
  const title = conversation === null ? NAME : `${conversation} · ${NAME}`;
  if (state.isAnswering) return words.titleWriting(title);
  return state.isUnseen ? words.titleDone(title) : title;
}

/** Whether an answer has ended while the page was hidden. */
export class Unseen {
  isUnseen = $state(false);

  ended(): void {
    if (document.visibilityState === 'hidden') this.isUnseen = true;
  }

  /** The page was shown or hidden. */
  seen(): void {
    if (document.visibilityState === 'visible') this.isUnseen = false;
  }
}
