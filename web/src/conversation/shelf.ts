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
 * The shelf is in the order in which things were removed, and a removal keeps its place when it is
 * undone and done again. So "Undo" takes the last one that is not undone, "Redo" the one after it,
 * and each gives back exactly what was there before the other:
 *
 *     [cleared  replaced]   Undo   [cleared  undone]   Undo   [clear_undone  undone]
 *
 * The newest removals are kept; the oldest goes when there are too many of them.
 */

import type { State } from './state';
import type { Cut, Message, Removal, RemovalKind } from './types';

/** This many removals are kept. */
const MOST_REMOVALS = 10;

/** Moves the messages from index `at` on to the shelf. New messages have at least the id `id`. */
export function shelve(state: State, at: number, id: number, kind: 'cleared' | 'replaced'): State {
  const messages = state.messages.slice(at);
  if (messages.length === 0) return state;
  const removal: Removal = { id, kind, from: id, messages, cut: state.cut };
  const shelf = [...state.shelf, removal].slice(-MOST_REMOVALS);
  return { ...state, messages: state.messages.slice(0, at), shelf };
}

/** The removal that "Undo" brings back: the latest one that was not itself undone. */
export function undoable({ shelf }: State): Removal | null {
  return shelf.findLast((removal) => !isUndone(removal)) ?? null;
}

/** The removal that was undone last, which "Redo" does again. There is none after a new removal. */
export function redoable({ shelf, messages }: State): Removal | null {
  const latest = shelf.findLastIndex((removal) => !isUndone(removal));
  const removal = shelf[latest + 1];
  if (!removal) return null;
  // What "Clear" would take away may be gone: a question without an answer gives way to itself.
  const isInVain =
    removal.kind === 'clear_undone' && messages.every((message) => stays(message, removal));
  return isInVain ? null : removal;
}

/** Whether there is anything to bring back, or to clear once more. */
export function isOfUse({ kind, messages }: Removal): boolean {
  return messages.length > 0 || kind === 'clear_undone';
}

/** After a new question nobody wants to clear once more what was cleared before. */
export function withoutClearing(shelf: readonly Removal[]): readonly Removal[] {
  return shelf.filter(({ kind }) => kind !== 'clear_undone');
}

/**
 * Brings a removal back. Messages that had replaced it go to the shelf. Messages that were asked
 * after "Clear" stay, after those that come back.
 */
export function bringBack(state: State, removal: Removal): State {
  const kept = state.messages.filter((message) => stays(message, removal));
  const displaced = state.messages.filter((message) => !stays(message, removal));
  const put: Removal = {
    id: removal.id,
    kind: OPPOSITES[removal.kind],
    from: fromAfter(removal),
    messages: displaced,
    cut: state.cut,
  };
  const at = state.shelf.findIndex(({ id }) => id === removal.id);
  const before = state.shelf.slice(0, at);
  const shelf = [...(isUndone(removal) ? before : withoutOldRedo(before)), put];
  return {
    ...state,
    messages: [...kept, ...removal.messages].sort(byId),
    shelf: [...shelf, ...state.shelf.slice(at + 1)].filter(isOfUse),
    cut: cutAfter(state, removal),
    attempt: null,
  };
}

export function byId(a: { readonly id: number }, b: { readonly id: number }): number {
  return a.id - b.id;
}

const OPPOSITES: Record<RemovalKind, RemovalKind> = {
  cleared: 'clear_undone',
  clear_undone: 'cleared',
  replaced: 'undone',
  undone: 'replaced',
};

function isUndone({ kind }: Removal): boolean {
  return kind === 'undone' || kind === 'clear_undone';
}

/** Whether a message of the conversation is no other version of what comes back. */
function stays({ id }: Message, { kind, from }: Removal): boolean {
  if (kind === 'cleared') return true;
  // What was cleared goes again; what was asked after "Clear" is newer.
  return kind === 'clear_undone' ? id >= from : id < from;
}

/**
 * Where the version begins that takes the place of what is on the shelf. This is known from the
 * messages that come back, not from the one before them: undoing an older "Clear" may yet put others
 * there.
 */
function fromAfter({ id, kind, from, messages }: Removal): number {
  if (kind === 'cleared' || kind === 'clear_undone') return id;
  return messages[0]?.id ?? from;
}

/** Before a new removal there may be some that were undone, which it has made impossible to redo. */
function withoutOldRedo(before: readonly Removal[]): readonly Removal[] {
  return before.slice(0, before.findLastIndex((removal) => !isUndone(removal)) + 1);
}

/** Where the model begins to read once the removal is back. */
function cutAfter({ cut }: State, { kind, messages, cut: removedCut }: Removal): Cut | null {
  if (kind !== 'cleared' || cut === null) return removedCut;
  // Where not even all of the newer messages fit, none of the older ones do.
  return { ...cut, droppedCount: cut.droppedCount + messages.length };
}
