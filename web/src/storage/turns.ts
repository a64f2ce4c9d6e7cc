/** One question and its answer, as they are kept: to JSON and back. */

import type { Fault, Figures, Message, Outcome, Thinking } from '../conversation/types';
import { asNumber, isRecord, parseRecord } from './store';

export interface Turn {
  readonly question: Message;
  readonly answer: Message;
}

/** Raised when a new page can no longer read what an old page saved. */
const VERSION = 2;

/** The turns of a conversation or of a removal. */
export function turnsOf(messages: readonly Message[]): Turn[] {
  return messages.flatMap((question, at) => {
    const answer = messages[at + 1];
    return question.role === 'user' && answer?.role === 'assistant' ? [{ question, answer }] : [];
  });
}

export function byQuestion(turns: readonly Turn[]): Map<number, Turn> {
  return new Map(turns.map((turn) => [turn.question.id, turn]));
}

/** `window` tells later who was writing an answer that is not finished. */
export function turnToJson({ question, answer }: Turn, window: string): string {
  return JSON.stringify({ version: VERSION, window, question, answer });
}

/**
 * The turn, or `null` for anything else. An answer that was being written when its window ended is
 * interrupted; one of another window may still go on.
 */
export function turnFromJson(json: string | null, window: string): Turn | null {
  const saved = parseRecord(json);
  if (saved?.version !== VERSION) return null;
  const question = asMessage(saved.question, 'user');
  const answer = asMessage(saved.answer, 'assistant');
  if (!question || !answer) return null;
  const isOurs = saved.window === window;
  const unfinished: Outcome = isOurs ? { kind: 'interrupted' } : { kind: 'elsewhere' };
  const outcome = answer.outcome.kind === 'writing' ? unfinished : answer.outcome;
  return { question, answer: { ...answer, outcome } };
}

export function asMessage(value: unknown, role: Message['role']): Message | null {
  if (!isRecord(value) || value.role !== role) return null;
  if (typeof value.text !== 'string' || typeof value.id !== 'number') return null;
  return {
    id: value.id,
    role,
    text: value.text,
    outcome: asOutcome(value.outcome),
    figures: asFigures(value.figures),
    thinking: asThinking(value.thinking),
    replaces: asNumber(value.replaces),
  };
}

const PLAIN_OUTCOMES = [
  'complete',
  'stopped',
  'filtered',
  'unavailable',
  'unfinished',
  'writing',
] as const;

function asOutcome(value: unknown): Outcome {
  const outcome = isRecord(value) ? value : {};
  const plain = PLAIN_OUTCOMES.find((kind) => kind === outcome.kind);
  if (plain) return { kind: plain };
  if (outcome.kind === 'cut') return { kind: 'cut', tokens: asNumber(outcome.tokens) };
  const fault = outcome.kind === 'failed' ? asFault(outcome.fault) : null;
  return fault ? { kind: 'failed', fault } : { kind: 'interrupted' };
}

function asFault(value: unknown): Fault | null {
  if (!isRecord(value)) return null;
  const texts = ['code', 'message', 'field', 'range', 'value'] as const;
  const numbers = ['position', 'estimateMs', 'tokens', 'limit'] as const;
  const { code, message } = value;
  if (typeof code !== 'string' || typeof message !== 'string') return null;
  const known = [
    ...texts.filter((name) => typeof value[name] === 'string'),
    ...numbers.filter((name) => asNumber(value[name]) !== null),
  ].map((name) => [name, value[name]]);
  return { ...(Object.fromEntries(known) as Partial<Fault>), code, message };
}

function asFigures(value: unknown): Figures | null {
  const firstWordMs = isRecord(value) ? asNumber(value.firstWordMs) : null;
  if (!isRecord(value) || firstWordMs === null) return null;
  return { firstWordMs, wordsPerSecond: asNumber(value.wordsPerSecond) };
}

/** The thinking. If it was interrupted, its time is not known. */
function asThinking(value: unknown): Thinking | null {
  if (!isRecord(value) || typeof value.text !== 'string') return null;
  return { text: value.text, seconds: asNumber(value.seconds) };
}
