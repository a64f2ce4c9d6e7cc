/**
 * The one place where the state changes: `reduce(state, event)` is pure, and components only read.
 *
 * A new event needs a variant here, a branch below, and a place that dispatches it
 * (`chat.svelte.ts`).
 */

import { addPiece, NO_WORDS } from './count_words';
import { bringBack, byId, isOfUse, redoable, shelve, undoable, withoutClearing } from './shelf';
import type { Answering, State } from './state';
import type { Cut, Fault, Figures, Message, Outcome, Phase, Removal } from './types';
import type { Info } from '../wire';

export type Event =
  | { kind: 'phase'; phase: Phase }
  | { kind: 'info'; info: Info }
  | Asked
  | { kind: 'words'; text: string; nowMs: number }
  | { kind: 'thinking'; text: string; nowMs: number }
  | { kind: 'fault'; fault: Fault }
  /** The server says how the answer ends. */
  | { kind: 'end_told'; outcome: Outcome }
  /** The server's empty frame. */
  | { kind: 'ended'; nowMs: number }
  | { kind: 'stop_sent' }
  /** The socket closed; a running answer ends where it is. */
  | { kind: 'lost'; nowMs: number }
  | { kind: 'cut'; cut: Cut | null }
  | { kind: 'cleared'; id: number }
  | { kind: 'undo' }
  | { kind: 'redo' }
  | ({ kind: 'restored' } & Conversation)
  /** Another window changed what is stored. */
  | ({ kind: 'synced' } & Conversation)
  /** The windows that were writing these answers are gone. */
  | { kind: 'orphaned'; ids: readonly number[] };

/** A message was sent; everything from index `at` on gives way to it. */
export interface Asked {
  readonly kind: 'asked';
  readonly text: string;
  readonly at: number;
  /** Whether the same question is asked once more: then a failure leaves the answer before it. */
  readonly purpose: 'new' | 'again';
  readonly userId: number;
  readonly answerId: number;
  readonly nowMs: number;
}

/** The part of a conversation that is saved. */
export interface Conversation {
  readonly messages: readonly Message[];
  readonly shelf: readonly Removal[];
  readonly cut: Cut | null;
}

export function reduce(state: State, event: Event): State {
  switch (event.kind) {
    case 'phase':
      return {
        ...state,
        phase: event.phase,
        everOpen: state.everOpen || event.phase.kind === 'open',
      };
    case 'info':
      return { ...state, info: event.info };
    case 'asked':
      return ask(state, event);
    case 'words':
      return addWords(state, event.text, event.nowMs);
    case 'thinking':
      return addThinking(state, event.text, event.nowMs);
    case 'fault':
      return changeAnswer(state, () => ({ outcome: { kind: 'failed', fault: event.fault } }));
    case 'end_told':
      return changeAnswering(state, { end: event.outcome });
    case 'ended':
      return end(state, event.nowMs, state.answering?.end ?? { kind: 'complete' });
    case 'stop_sent':
      return changeAnswering(state, { stopping: true });
    case 'lost':
      return end(state, event.nowMs, { kind: 'interrupted' });
    default:
      return reduceConversation(state, event);
  }
}

/** Events that change more than the answer being written. */
function reduceConversation(state: State, event: Event): State {
  switch (event.kind) {
    case 'cut':
      return { ...state, cut: event.cut };
    case 'cleared':
      return { ...shelve(state, 0, event.id, 'cleared'), cut: null, attempt: null };
    case 'undo':
      return bringBackIfAny(state, undoable(state));
    case 'redo':
      return bringBackIfAny(state, redoable(state));
    case 'restored':
      return restore({ ...state, attempt: null, ...conversationOf(event) });
    case 'synced':
      return sync(state, event);
    case 'orphaned':
      return interrupt(state, event.ids);
    default:
      return state;
  }
}

function conversationOf({ messages, shelf, cut }: Conversation): Conversation {
  return { messages, shelf, cut };
}

function bringBackIfAny(state: State, removal: Removal | null): State {
  return removal && !state.answering ? bringBack(state, removal) : state;
}

function ask(state: State, event: Asked): State {
  const { userId, answerId, text, at, nowMs } = event;
  const removed = state.messages.slice(at);
  const before = keepReplaced(state, event, removed);
  const user: Message = {
    id: userId,
    role: 'user',
    text,
    outcome: { kind: 'complete' },
    figures: null,
    thinking: null,
    replaces: null,
  };
  const answer: Message = {
    ...user,
    id: answerId,
    role: 'assistant',
    text: '',
    outcome: { kind: 'writing' },
    replaces: event.purpose === 'again' && before.shelf !== state.shelf ? userId : null,
  };
  const answering: Answering = {
    messageId: answerId,
    sentAtMs: nowMs,
    thinkingAtMs: null,
    firstWordAtMs: null,
    words: NO_WORDS,
    stopping: false,
    end: null,
  };
  const messages = [...before.messages, user, answer];
  return { ...before, messages, shelf: withoutClearing(before.shelf), answering, attempt: null };
}

/** Shelves the replaced messages, unless they are the same question without any answer. */
function keepReplaced(state: State, event: Asked, removed: readonly Message[]): State {
  const [question, answer, ...later] = removed;
  const isEmpty = (answer?.text ?? '') === '' && answer?.thinking == null;
  if (question?.text === event.text && isEmpty && later.length === 0)
    return { ...state, messages: state.messages.slice(0, event.at) };
  return shelve(state, event.at, event.userId, 'replaced');
}

function addWords(state: State, text: string, nowMs: number): State {
  const { answering } = state;
  if (!answering) return state;
  const grown = changeAnswer(state, (answer) => ({
    text: answer.text + text,
    thinking: thoughtOf(answer, answering, nowMs),
  }));
  const words = addPiece(answering.words, text);
  return changeAnswering(grown, { words, firstWordAtMs: answering.firstWordAtMs ?? nowMs });
}

function addThinking(state: State, text: string, nowMs: number): State {
  const { answering } = state;
  if (!answering) return state;
  const grown = changeAnswer(state, ({ thinking }) => ({
    thinking: { text: (thinking?.text ?? '') + text, seconds: thinking?.seconds ?? null },
  }));
  return changeAnswering(grown, { thinkingAtMs: answering.thinkingAtMs ?? nowMs });
}

/** The thinking, with its time once something else follows. */
function thoughtOf(answer: Message, { thinkingAtMs }: Answering, nowMs: number) {
  const { thinking } = answer;
  if (!thinking || thinking.seconds !== null || thinkingAtMs === null) return thinking;
  return { ...thinking, seconds: (nowMs - thinkingAtMs) / 1000 };
}

function end(state: State, nowMs: number, outcome: Outcome): State {
  const { answering } = state;
  if (!answering) return state;
  const ended = changeAnswer(state, (answer) => ({
    outcome: outcomeOf(answer, answering, outcome),
    figures: figures(answering, nowMs),
    thinking: thoughtOf(answer, answering, nowMs),
  }));
  return putBackIfInVain({ ...ended, answering: null }, answering.messageId);
}

function outcomeOf(answer: Message, { stopping }: Answering, outcome: Outcome): Outcome {
  // A fault came first: the empty frame after it must not turn it into a success.
  if (answer.outcome.kind === 'failed') return answer.outcome;
  return stopping ? { kind: 'stopped' } : outcome;
}

/**
 * Another answer that failed, or that has not a word, leaves the answer before it. What words a
 * failed one has can be brought back by "Redo".
 */
function putBackIfInVain(state: State, answerId: number): State {
  const answer = state.messages.find(({ id }) => id === answerId);
  const removal = state.shelf.find(({ id }) => id === answer?.replaces);
  if (!answer || !removal) return state;
  const isEmpty = answer.text === '';
  if (!isEmpty && answer.outcome.kind !== 'failed') return state;
  const back = bringBack(state, removal);
  const shelf = isEmpty ? state.shelf.filter(({ id }) => id !== removal.id) : back.shelf;
  const standing = removal.messages[1]?.id ?? null;
  const attempt = standing === null ? null : { messageId: standing, outcome: answer.outcome };
  return { ...back, shelf, attempt };
}

/** An answer that was to replace another may have been broken off by the end of the page. */
function restore(state: State): State {
  const broken = state.messages.filter(
    ({ outcome, replaces }) => outcome.kind === 'interrupted' && replaces !== null,
  );
  return broken.reduce((before, { id }) => putBackIfInVain(before, id), state);
}

/** Takes over what is stored, except the answer that this window is writing. */
function sync(state: State, event: Conversation): State {
  const { answering } = state;
  if (!answering) return { ...state, ...conversationOf(event) };
  const at = state.messages.findIndex(({ id }) => id === answering.messageId);
  const mine = state.messages.slice(at - 1, at + 1);
  const isOther = ({ id }: Message) => !mine.some((message) => message.id === id);
  const messages = [...event.messages.filter(isOther), ...mine].sort(byId);
  const shelf = event.shelf
    .map((removal) => ({ ...removal, messages: removal.messages.filter(isOther) }))
    .filter(isOfUse);
  return { ...state, messages, shelf, cut: event.cut };
}

function interrupt(state: State, ids: readonly number[]): State {
  const messages = state.messages.map((message) =>
    ids.includes(message.id) && message.outcome.kind === 'elsewhere'
      ? { ...message, outcome: { kind: 'interrupted' } as const }
      : message,
  );
  return { ...state, messages };
}

/** Less than this and a rate says more about the clock than about the machine. */
const SHORTEST_MEASURED_MS = 250;

function figures(answering: Answering, nowMs: number): Figures | null {
  const { sentAtMs, firstWordAtMs, words } = answering;
  if (firstWordAtMs === null) return null;
  const writingMs = nowMs - firstWordAtMs;
  const measurable = writingMs >= SHORTEST_MEASURED_MS;
  return {
    firstWordMs: firstWordAtMs - sentAtMs,
    wordsPerSecond: measurable ? (words.count * 1000) / writingMs : null,
  };
}

function changeAnswering(state: State, change: Partial<Answering>): State {
  return state.answering ? { ...state, answering: { ...state.answering, ...change } } : state;
}

function changeAnswer(state: State, change: (answer: Message) => Partial<Message>): State {
  const id = state.answering?.messageId;
  if (id === undefined) return state;
  const messages = state.messages.map((message) =>
    message.id === id ? { ...message, ...change(message) } : message,
  );
  return { ...state, messages };
}
