/**
 * The one place where the state changes: `reduce(state, event)` is pure, and components only read.
 *
 * A new event: a variant here, a branch below, and whoever dispatches it (`chat.svelte.ts`).
 */

import { countWords } from './count_words';
import type { Answering, Cut, State } from './state';
import type { Fault, Figures, Message, Outcome, Phase, ServerInfo } from './types';

export type Event =
  | { kind: 'phase'; phase: Phase }
  | { kind: 'info'; info: ServerInfo }
  /** A message was sent; everything from index `at` on gives way to it. */
  | { kind: 'asked'; text: string; at: number; userId: number; answerId: number; nowMs: number }
  | { kind: 'words'; text: string; nowMs: number }
  | { kind: 'fault'; fault: Fault }
  /** The server's empty frame. */
  | { kind: 'ended'; nowMs: number }
  | { kind: 'stop_sent' }
  /** The socket closed; a running answer ends where it is. */
  | { kind: 'lost'; nowMs: number }
  | { kind: 'cut'; cut: Cut | null }
  | { kind: 'cleared' }
  | { kind: 'clear_undone' }
  | { kind: 'restored'; messages: readonly Message[] };

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
    case 'fault':
      return changeAnswer(state, () => ({ outcome: { kind: 'failed', fault: event.fault } }));
    case 'ended':
      return end(state, event.nowMs, { kind: state.answering?.stopping ? 'stopped' : 'complete' });
    case 'stop_sent':
      return state.answering
        ? { ...state, answering: { ...state.answering, stopping: true } }
        : state;
    case 'lost':
      return end(state, event.nowMs, {
        kind: state.answering?.stopping ? 'stopped' : 'interrupted',
      });
    case 'cut':
      return { ...state, cut: event.cut };
    case 'cleared':
      return { ...state, messages: [], answering: null, cut: null, cleared: state.messages };
    case 'clear_undone':
      return state.cleared && state.messages.length === 0
        ? { ...state, messages: state.cleared, cleared: null }
        : state;
    case 'restored':
      return { ...state, messages: event.messages };
  }
}

function ask(state: State, event: Extract<Event, { kind: 'asked' }>): State {
  const user: Message = {
    id: event.userId,
    role: 'user',
    text: event.text,
    outcome: { kind: 'complete' },
    figures: null,
  };
  const answer: Message = {
    ...user,
    id: event.answerId,
    role: 'assistant',
    text: '',
    outcome: { kind: 'writing' },
  };
  const answering: Answering = {
    messageId: answer.id,
    sentAtMs: event.nowMs,
    firstWordAtMs: null,
    stopping: false,
  };
  const messages = [...state.messages.slice(0, event.at), user, answer];
  return { ...state, messages, answering, cleared: null };
}

function addWords(state: State, text: string, nowMs: number): State {
  const { answering } = state;
  if (!answering) return state;
  const grown = changeAnswer(state, (answer) => ({ text: answer.text + text }));
  if (answering.firstWordAtMs !== null) return grown;
  return { ...grown, answering: { ...answering, firstWordAtMs: nowMs } };
}

function end(state: State, nowMs: number, outcome: Outcome): State {
  const { answering } = state;
  if (!answering) return state;
  const ended = changeAnswer(state, (answer) => ({
    // A fault came first: the empty frame after it must not turn it into a success.
    outcome: answer.outcome.kind === 'failed' ? answer.outcome : outcome,
    figures: figures(answering, answer.text, nowMs),
  }));
  return { ...ended, answering: null };
}

/** Less than this and a rate says more about the clock than about the machine. */
const SHORTEST_MEASURED_MS = 250;

function figures(answering: Answering, text: string, nowMs: number): Figures | null {
  const { sentAtMs, firstWordAtMs } = answering;
  if (firstWordAtMs === null) return null;
  const writingMs = nowMs - firstWordAtMs;
  const measurable = writingMs >= SHORTEST_MEASURED_MS;
  return {
    firstWordMs: firstWordAtMs - sentAtMs,
    wordsPerSecond: measurable ? (countWords(text) * 1000) / writingMs : null,
  };
}

function changeAnswer(state: State, change: (answer: Message) => Partial<Message>): State {
  const id = state.answering?.messageId;
  if (id === undefined) return state;
  const messages = state.messages.map((message) =>
    message.id === id ? { ...message, ...change(message) } : message,
  );
  return { ...state, messages };
}
