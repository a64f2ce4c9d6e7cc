/**
 * Where somebody reads in a conversation: kept while another conversation is shown, and when the
 * page is loaded again.
 */

import { asNumber, keep, readRecord, type Store } from './storage/store';
import type { MessageId } from './wire';

export interface ReadingPlace {
  /** The first message that is seen. */
  readonly message: MessageId;
  /** How far its top is below the top of what is seen; negative if it begins above. */
  readonly offsetPx: number;
}

const KEY = 'banter.place';

/** The place that a scroller shows. */
export function placeIn(scroller: HTMLElement): ReadingPlace | null {
  const { top } = scroller.getBoundingClientRect();
  for (const article of scroller.querySelectorAll<HTMLElement>('[data-message]')) {
    const place = article.getBoundingClientRect();
    const message = article.dataset.message;
    if (place.bottom > top && message) return { message, offsetPx: place.top - top };
  }
  return null;
}

/** Shows a place; returns whether its message is there. */
export function goTo(scroller: HTMLElement, { message, offsetPx }: ReadingPlace): boolean {
  const article = scroller.querySelector(`[data-message="${CSS.escape(message)}"]`);
  if (!article) return false;
  const { top } = scroller.getBoundingClientRect();
  scroller.scrollTop += article.getBoundingClientRect().top - top - offsetPx;
  return true;
}

/**
 * Keeps the place for the time when the page is loaded again; `null` is the end of the
 * conversation.
 */
export function savePlace(store: Store | null, thread: string, place: ReadingPlace | null): void {
  if (place !== null) keep(store, KEY, JSON.stringify({ thread, ...place }));
}

/** The place that was kept. It counts once: afterwards the person reads somewhere else. */
export function takePlace(store: Store | null, thread: string): ReadingPlace | null {
  const saved = readRecord(store, KEY);
  store?.removeItem(KEY);
  const offsetPx = asNumber(saved?.offsetPx);
  if (saved?.thread !== thread || typeof saved.message !== 'string' || offsetPx === null)
    return null;
  return { message: saved.message, offsetPx };
}
