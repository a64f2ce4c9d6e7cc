/** The title of the window, for people who are looking at another window. */

import type { State } from './conversation/state';
import type { Words } from './words';

const NAME = 'banter';

export function titleOf({ answering }: State, words: Words, isUnseen: boolean): string {
  if (answering) return words.titleWriting(NAME);
  return isUnseen ? words.titleDone(NAME) : NAME;
}

/** Whether an answer has ended while the page was hidden. */
export class Unseen {
  isUnseen = $state(false);
  private wasAnswering = false;

  answering(isAnswering: boolean): void {
    if (this.wasAnswering && !isAnswering && document.visibilityState === 'hidden')
      this.isUnseen = true;
    this.wasAnswering = isAnswering;
  }

  /** The page was shown or hidden. */
  seen(): void {
    if (document.visibilityState === 'visible') this.isUnseen = false;
  }
}
