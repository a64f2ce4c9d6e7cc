/**
 * Names this window for as long as it lives, reloads included.
 *
 * A browser that duplicates a tab copies what its window has stored. So the name is stored only while
 * there is no page: otherwise two windows would have the same one, and the second would take the
 * answer that the first is writing for one of its own that was broken off.
 */

import { keep, type Store } from './store';

const KEY = 'banter.window';

export class WindowName {
  readonly text: string;

  constructor(private readonly store: Store | null) {
    this.text = store?.getItem(KEY) ?? String(Math.random()).slice(2);
    this.takeOut();
  }

  /** The page goes; it may be loaded again. */
  putBack(): void {
    keep(this.store, KEY, this.text);
  }

  /** The page is here, or here again. */
  takeOut(): void {
    this.store?.removeItem(KEY);
  }
}
