/**
 * What the page has and the store has not, for lack of room: it is put back among what is read from
 * the store, so that another window's changes do not take it off the page.
 */

import { byId } from '../conversation/shelf';
import type { Removal } from '../conversation/types';
import { byQuestion, type Turn, turnsOf } from './turns';

export interface Unstored {
  /** Turns of the conversation by the id of the question. */
  readonly turns: ReadonlyMap<number, Turn>;
  /** Removals of which at least one turn is not stored. */
  readonly removals: readonly Removal[];
}

export const NOTHING_UNSTORED: Unstored = { turns: new Map(), removals: [] };

/** Turns as they are in the page, where an older or shorter version is stored. */
export function withUnstored(
  stored: ReadonlyMap<number, Turn>,
  { turns, removals }: Unstored,
): Map<number, Turn> {
  const removed = removals.flatMap(({ messages }) => turnsOf(messages));
  const known = removed.filter(({ question }) => stored.has(question.id));
  return new Map([...stored, ...byQuestion(known), ...turns]);
}

/** Another window has stored this turn since. */
export function withoutTurn(unstored: Unstored, { question }: Turn): Unstored {
  const others = [...unstored.turns].filter(([id]) => id !== question.id);
  return { ...unstored, turns: new Map(others) };
}

/** The stored shelf with the removals, and turns of removals, that are not `elsewhere`. */
export function shelfWithUnstored(
  shelf: readonly Removal[],
  { removals }: Unstored,
  elsewhere: ReadonlyMap<number, Turn>,
): Removal[] {
  const missing = removals.map((removal) => ({
    ...removal,
    messages: turnsOf(removal.messages)
      .filter(({ question }) => !elsewhere.has(question.id))
      .flatMap(({ question, answer }) => [question, answer]),
  }));
  const whole = shelf.map((removal) => {
    const more = missing.find(({ id, kind }) => id === removal.id && kind === removal.kind);
    return more
      ? { ...removal, messages: [...removal.messages, ...more.messages].sort(byId) }
      : removal;
  });
  const others = missing.filter(({ id }) => !shelf.some((removal) => removal.id === id));
  return [...whole, ...others];
}
