/** Turns a conversation into the JSON of a request. */

import { REPORTS } from '../connection/plain';
import { withoutThoughts } from '../markdown/thinking';
import {
  type Cut,
  type Message,
  type NumberName,
  type Parameters,
  type Role,
  WIRE_NAMES,
} from './types';

export interface HistoryEntry {
  readonly role: Role | 'system';
  readonly content: string;
}

/** A request ready to be sent, and which messages it holds. */
export interface Request {
  readonly json: string;
  /** For `POST ./tokenize`: the history and the new message. */
  readonly messages: readonly HistoryEntry[];
  /** Ids of the conversation's messages in `messages`, oldest first, system prompt not counted. */
  readonly sentIds: readonly number[];
  /** Messages left out because the request would have been larger than the server takes. */
  readonly trimmedCount: number;
}

/**
 * Builds the request for `text` after `earlier`; whole turns are left out from the oldest until it
 * fits `maxBytes`. `null` when the message alone is too large. Only `known` parameters are sent; the
 * settings mark the others.
 */
export function buildRequest(
  earlier: readonly Message[],
  text: string,
  parameters: Parameters,
  maxBytes: number,
  known: readonly string[] = Object.values(WIRE_NAMES),
): Request | null {
  const turns = answeredTurns(earlier);
  const choice = chosen(parameters, known);
  const all = turns.length;
  for (;;) {
    const request = assemble(turns.flat(), text, parameters, choice, (all - turns.length) * 2);
    if (byteLength(request.json) <= maxBytes) return request;
    if (turns.length === 0) return null;
    // An eighth at a time keeps this quick for conversations far beyond the limit.
    turns.splice(0, Math.max(1, Math.floor(turns.length / 8)));
  }
}

/**
 * Where the model starts to read if it gets all of `request` but its first `dropped` messages;
 * `userId` is the id of the new message. `null` if it reads from the beginning.
 */
export function cutAt(request: Request, dropped: number, userId: number): Cut | null {
  const droppedCount = dropped + request.trimmedCount;
  if (droppedCount === 0) return null;
  return { droppedCount, firstKeptId: request.sentIds[dropped] ?? userId };
}

/** The turns that are sent as history: questions without an answer and all thinking are left out. */
function answeredTurns(messages: readonly Message[]): Message[][] {
  const turns: Message[][] = [];
  messages.forEach((message, index) => {
    const answer = messages[index + 1];
    if (message.role !== 'user' || answer?.role !== 'assistant') return;
    const text = withoutThoughts(answer.text);
    if (text.trim() !== '') turns.push([message, { ...answer, text }]);
  });
  return turns;
}

function assemble(
  earlier: readonly Message[],
  text: string,
  parameters: Parameters,
  choice: Record<string, number>,
  trimmedCount: number,
): Request {
  const system: HistoryEntry[] = parameters.systemPrompt.trim()
    ? [{ role: 'system', content: parameters.systemPrompt }]
    : [];
  const history = [
    ...system,
    ...earlier.map(({ role, text }) => ({ role, content: text }) satisfies HistoryEntry),
  ];
  return {
    json: JSON.stringify({ message: text, history, stream: true, ...REPORTS, ...choice }),
    messages: [...history, { role: 'user', content: text }],
    sentIds: earlier.map(({ id }) => id),
    trimmedCount,
  };
}

/** Only values that the person chose; the server has defaults for the others. */
function chosen(parameters: Parameters, known: readonly string[]): Record<string, number> {
  const names = Object.keys(WIRE_NAMES) as NumberName[];
  const choice: Record<string, number> = {};
  for (const name of names) {
    const value = parameters[name];
    if (value !== null && known.includes(WIRE_NAMES[name])) choice[WIRE_NAMES[name]] = value;
  }
  return choice;
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}
