/** What a stored answer says about its end. */

import type { Message } from '../wire';
import { countWords } from './count_words';
import type { Figures, Outcome } from './types';

export function outcomeOf({ state, finish }: Message): Outcome {
  const reason = finish?.reason;
  switch (state) {
    case undefined:
    case 'complete':
      return { kind: 'complete' };
    case 'waiting':
    case 'writing':
      return { kind: 'writing' };
    case 'length':
      return { kind: 'cut', tokens: finish?.usage.completion_tokens ?? null };
    case 'stopped':
      return { kind: 'stopped', haltMs: finish?.timings.halt_ms ?? null };
    case 'interrupted':
      return { kind: 'interrupted', reason: reason ?? 'crashed' };
    case 'failed':
      if (reason === 'filtered' || reason === 'unavailable') return { kind: reason };
      return { kind: 'failed', fault: finish?.error ?? { code: 'internal', message: '' } };
    // A later server may have further states; they are ends.
    default:
      return { kind: 'unfinished' };
  }
}

/** `null` for an answer that has no end yet, or no words. */
export function figuresOf({ text, finish, model }: Message): Figures | null {
  if (!finish || text === '') return null;
  const { usage, timings } = finish;
  return {
    firstWordMs: timings.first_token_ms,
    wordsPerSecond: rate(text, usage.completion_tokens, timings.tokens_per_second),
    reusedTokens: usage.cached_tokens,
    model: model ?? null,
  };
}

/** Fewer tokens say more about the clock than about the machine. */
const LEAST_TOKENS = 8;

function rate(text: string, tokens: number | null, tokensPerSecond: number | null): number | null {
  if (tokens === null || tokensPerSecond === null || tokens < LEAST_TOKENS) return null;
  return (countWords(text) * tokensPerSecond) / tokens;
}
