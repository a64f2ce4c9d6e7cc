/** The person who signed in last, so that the conversation is shown before the server answers. */

import { keep, type Store } from './store';

const KEY = 'banter.owner';
/** Until a server has told the owner for the first time. */
export const UNKNOWN_OWNER = 'unknown';

export function loadOwner(store: Store | null): string {
  return store?.getItem(KEY) ?? UNKNOWN_OWNER;
}

export function saveOwner(store: Store | null, owner: string): void {
  keep(store, KEY, owner);
}

/** The next person may be somebody else. */
export function forgetOwner(store: Store | null): void {
  store?.removeItem(KEY);
}
