/** The order of the list of conversations, and its parts by date. */

import type { Conversation } from '../wire';

/** Pinned conversations first, and among each the newest first. */
export function sorted(conversations: Iterable<Conversation>): Conversation[] {
  return [...conversations].sort(
    (a, b) =>
      Number(b.pinned) - Number(a.pinned) || b.updated_ms - a.updated_ms || (a.id < b.id ? 1 : -1),
  );
}

export type Age = 'pinned' | 'today' | 'yesterday' | 'week' | 'month' | 'older';

export interface Part {
  readonly age: Age;
  readonly conversations: readonly Conversation[];
}

/** Sorted conversations in parts by their age. */
export function parts(conversations: readonly Conversation[], nowMs: number): Part[] {
  const found = new Map<Age, Conversation[]>();
  for (const conversation of conversations) {
    const age = conversation.pinned ? 'pinned' : ageOf(conversation.updated_ms, nowMs);
    const part = found.get(age);
    if (part) part.push(conversation);
    else found.set(age, [conversation]);
  }
  return [...found].map(([age, of]) => ({ age, conversations: of }));
}

const DAY_MS = 24 * 60 * 60 * 1_000;

function ageOf(updatedMs: number, nowMs: number): Age {
  const today = new Date(nowMs).setHours(0, 0, 0, 0);
  // Noon of another day is in it, however long the days between are.
  const daysAgo = Math.round((today - new Date(updatedMs).setHours(0, 0, 0, 0)) / DAY_MS);
  if (daysAgo <= 0) return 'today';
  if (daysAgo === 1) return 'yesterday';
  if (daysAgo < 7) return 'week';
  return daysAgo < 30 ? 'month' : 'older';
}
