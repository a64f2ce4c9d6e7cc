/**
 * The plain language, as a page reads it: bare text, the empty frame, and objects with one key for
 * an error and for what the request asked to be told.
 */

import type { Fault, Outcome } from '../conversation/types';

export type Frame =
  | { kind: 'words'; text: string }
  | { kind: 'thinking'; text: string }
  | { kind: 'fault'; fault: Fault }
  /** How the answer ends, and how many of the oldest messages the model did not get. */
  | { kind: 'end_told'; outcome: Outcome; dropped: number }
  | { kind: 'end' };

export const STOP_JSON = '{"stop":true}';

/** The reports that a request asks for, in addition to the answer. */
export const REPORTS = { report_end: true, report_thinking: true } as const;

export function readFrame(text: string): Frame {
  if (text === '') return { kind: 'end' };
  return (text.startsWith('{') ? readObject(text) : null) ?? { kind: 'words', text };
}

/** Only an object with one key is more than words; an answer never comes as such a frame. */
function readObject(text: string): Frame | null {
  const value = parse(text);
  if (!value || Object.keys(value).length !== 1) return null;
  const { error, end, thinking } = value;
  if (typeof thinking === 'string') return { kind: 'thinking', text: thinking };
  if (isRecord(error) && typeof error.code === 'string')
    return { kind: 'fault', fault: readFault(error, error.code) };
  if (isRecord(end) && typeof end.reason === 'string') {
    const outcome = readEnd(end.reason, asNumber(end.tokens) ?? null);
    return { kind: 'end_told', outcome, dropped: asNumber(end.dropped_messages) ?? 0 };
  }
  return null;
}

function readFault(error: Record<string, unknown>, code: string): Fault {
  return {
    code,
    message: asText(error.message) ?? '',
    field: asText(error.field),
    range: asText(error.range),
    value: asText(error.value),
    position: asNumber(error.position),
    estimateMs: asNumber(error.estimate_ms),
    tokens: asNumber(error.tokens),
    limit: asNumber(error.limit),
  };
}

/** Further reasons may come: an answer that ended for one of them is not whole. */
function readEnd(reason: string, tokens: number | null): Outcome {
  switch (reason) {
    case 'end':
    case 'stop_string':
      return { kind: 'complete' };
    case 'length':
      return { kind: 'cut', tokens };
    case 'stopped':
    case 'filtered':
    case 'unavailable':
      return { kind: reason };
    default:
      return { kind: 'unfinished' };
  }
}

function parse(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function asText(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function asNumber(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}
