/**
 * Messages that were taken off the page and can be brought back.
 *
 * Nothing that a person wrote or got is destroyed by one press. "Clear", an edit and another answer
 * move messages from the conversation to the shelf:
 *
 *     messages  q1 a1 q2 a2 q3 a3          "Answer again" on a1
 *     messages  q1' a1'                    shelf  [replaced: q1 a1 q2 a2 q3 a3]
 *     messages  q1 a1 q2 a2 q3 a3          shelf  [undone: q1' a1']            after Undo
 *
 * The newest removals are kept; the oldest goes when there are too many of them or no room.
 */

import type { State } from './state';
import type { Message, Removal, RemovalKind } from './types';

/** This many removals are kept. */
const MOST_REMOVALS = 10;

/** Moves the messages from index `from` on to the shelf. */
export function shelve(state: State, from: number, id: number, kind: RemovalKind): State {
  const messages = state.messages.slice(from);
  if (messages.length === 0) return state;
  const after = state.messages[from - 1]?.id ?? 0;
  const shelf = [...state.shelf, { id, kind, after, messages }].slice(-MOST_REMOVALS);
  return { ...state, messages: state.messages.slice(0, from), shelf };
}

/** The removal that "Undo" brings back: the latest one that was not itself an undo. */
export function undoable({ shelf }: State): Removal | null {
  return shelf.findLast(({ kind }) => kind !== 'undone') ?? null;
}

/** The removal that "Redo" brings back; there is one only right after an undo. */
export function redoable({ shelf }: State): Removal | null {
  const last = shelf.at(-1);
  return last?.kind === 'undone' ? last : null;
}

/**
 * Brings a removal back. Messages that had replaced it go to the shelf. Messages that were asked
 * after "Clear" stay, after those that come back.
 */
export function bringBack(state: State, removal: Removal): State {
  const shelf = state.shelf.filter(({ id }) => id !== removal.id);
  const { after } = removal;
  const stays = ({ id }: Message) => removal.kind === 'cleared' || id <= after;
  const kept = state.messages.filter(stays);
  const displaced = state.messages.filter((message) => !stays(message));
  const messages = [...kept, ...removal.messages].sort(byId);
  const kind = removal.kind === 'undone' ? 'replaced' : 'undone';
  // The removal's own id is free again, and it is unique.
  const put = { id: removal.id, kind, after, messages: displaced } as const;
  return {
    ...state,
    messages,
    shelf: displaced.length > 0 ? [...shelf, put] : shelf,
    attempt: null,
  };
}

/** Drops the oldest removal, because there is no room for it. */
export function shorten(state: State): State {
  return { ...state, shelf: state.shelf.slice(1) };
}

export function byId(a: { readonly id: number }, b: { readonly id: number }): number {
  return a.id - b.id;
}
