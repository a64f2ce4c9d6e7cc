/** The plain language, as a page reads it: bare text, an error object, or the empty frame. */

import type { Fault } from '../conversation/types';

export type Frame =
  { kind: 'words'; text: string } | { kind: 'fault'; fault: Fault } | { kind: 'end' };

export const STOP_JSON = '{"stop":true}';

export function readFrame(text: string): Frame {
  if (text === '') return { kind: 'end' };
  const fault = text.startsWith('{') ? readFault(text) : null;
  return fault ? { kind: 'fault', fault } : { kind: 'words', text };
}

/** An error is an object with the only key `error`; an answer never comes as such a frame. */
function readFault(text: string): Fault | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null) return null;
  const { error } = value as { error?: Record<string, unknown> };
  if (Object.keys(value).length !== 1 || typeof error?.code !== 'string') return null;
  return {
    code: error.code,
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

function asText(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function asNumber(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}
