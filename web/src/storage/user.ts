/** The user of the server who was here last, and what of theirs this browser keeps. */

import { isOfAnother } from './earlier_keys';
import { PREFERENCES_KEY } from './preferences';
import { keep, keysOf, type Store } from './store';

const KEY = 'banter.user';
/** Until a server has told the user for the first time. */
export const UNKNOWN_USER = 'unknown';

export function loadUser(store: Store | null): string {
  return store?.getItem(KEY) ?? UNKNOWN_USER;
}

export function saveUser(store: Store | null, user: string): void {
  keep(store, KEY, user);
}

/** Another tab has signed out. */
export function isSignedOut({ key, newValue }: StorageEvent): boolean {
  return key === KEY && newValue === null;
}

/**
 * Removes all that was kept of the person who signs out: texts, requests, names. The preferences
 * belong to the browser rather than to a person.
 */
export function removeTraces(store: Store | null): void {
  if (!store) return;
  const user = loadUser(store);
  const isTrace = (key: string) =>
    key.startsWith('banter.') && key !== PREFERENCES_KEY && !isOfAnother(key, user);
  for (const key of keysOf(store)) if (isTrace(key)) store.removeItem(key);
}
