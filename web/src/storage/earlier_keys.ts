/**
 * Where the page kept conversations before the server had them; `earlier.ts` says what is there.
 */

import { keysOf, type Store } from './store';
import type { ImportReport } from '../wire';

export const EARLIER_CONVERSATION = 'banter.conversation';
export const EARLIER_TURNS = 'banter.turn.';
export const EARLIER_THREADS = 'banter.thread.';
export const EARLIER_DRAFTS = 'banter.drafts.';

/** What is done with what is found. */
export interface Taking {
  /** Whether the person is still here. */
  readonly isHere: () => boolean;
  /** Imports a file; `refused` is `null` if the server does not answer. */
  readonly send: (file: Blob) => Promise<ImportReport | { readonly refused: unknown }>;
  /** Takes a draft. */
  readonly begin: (text: string) => void;
  readonly refused: () => void;
}

let isTaking = false;

/** Takes over what belongs to a person. The code for it is loaded only if there is something. */
export async function takeEarlier(
  user: string,
  { store, tabStore }: { readonly store: Store | null; readonly tabStore: Store | null },
  taking: Taking,
): Promise<void> {
  const hasDraft = tabStore?.getItem(EARLIER_DRAFTS + user) != null;
  if (!store || isTaking || !(hasDraft || keysOf(store).some(isEarlier))) return;
  isTaking = true;
  try {
    const { takeDrafts, takeOver } = await import('./earlier');
    const take = async () => {
      if (!taking.isHere()) return;
      if (tabStore) taking.begin(takeDrafts(tabStore, user));
      const send = async (file: Blob) => (taking.isHere() ? taking.send(file) : { refused: null });
      if ((await takeOver(store, user, send)) === 'refused') taking.refused();
    };
    // Of two tabs only one takes it. Without a secure context there are no locks.
    const { locks } = navigator as { readonly locks?: LockManager };
    await (locks ? locks.request('banter.earlier', take) : take());
  } catch {
    // The code for it could not be fetched. It is tried again at the next connection.
  } finally {
    isTaking = false;
  }
}

export function isEarlier(key: string): boolean {
  return key === EARLIER_CONVERSATION || key.startsWith(EARLIER_TURNS);
}

/** Whether an entry is another person's, who has not been here since. */
export function isOfAnother(key: string, user: string): boolean {
  const prefix = [EARLIER_TURNS, EARLIER_THREADS].find((prefix) => key.startsWith(prefix));
  if (prefix === undefined) return false;
  return key.slice(prefix.length).split('.')[0] !== user;
}
