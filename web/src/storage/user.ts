/** The user of the server who was here last, and what of theirs this browser keeps. */

import { keep, type Store } from './store';

const KEY = 'banter.user';
/** Until a server has told the user for the first time. */
export const UNKNOWN_USER = 'unknown';
/** What belongs to the browser rather than to a person. */
const OF_EVERYBODY = ['banter.preferences'];

export function loadUser(store: Store | null): string {
  return store?.getItem(KEY) ?? UNKNOWN_USER;
}

export function saveUser(store: Store | null, user: string): void {
  keep(store, KEY, user);
}

/** Removes all that was kept of the person who signs out: texts, requests, names. */
export function removeTraces(store: Store | null): void {
  if (!store) return;
  const keys = Array.from({ length: store.length }, (_, at) => store.key(at) ?? '');
  for (const key of keys)
    if (key.startsWith('banter.') && !OF_EVERYBODY.includes(key)) store.removeItem(key);
}
