/**
 * An answer while it is made. Its text grows apart from the tree, so that a piece costs no more
 * than itself.
 */

import type { Message, Prefill, Queued } from '../wire';
import { addPiece, NO_WORDS, type WordCount } from './count_words';

export interface Live {
  readonly text: string;
  readonly thinking: string;
  /** Its place in the queue, until it is begun. */
  readonly queued: Pick<Queued, 'ahead' | 'estimate_ms'> | null;
  /** How much of the prompt is computed, until the first word. */
  readonly prefill: Pick<Prefill, 'done' | 'total' | 'cached'> | null;
  /** Counted piece by piece: counting the whole answer in each frame would grow with it. */
  readonly words: WordCount;
  /** Stop was pressed; the end of the answer is on its way. */
  readonly stopping: boolean;
  readonly thinkingAtMs: number | null;
  /** How long the model thought; `null` while it does, and where nobody saw it begin. */
  readonly thinkingSeconds: number | null;
}

/** An answer whose state is `waiting` or `writing`, with what it has so far. */
export function liveOf({ text, thinking = '' }: Message): Live {
  return {
    text,
    thinking,
    queued: null,
    prefill: null,
    words: addPiece(NO_WORDS, text),
    stopping: false,
    thinkingAtMs: null,
    thinkingSeconds: null,
  };
}

export function addWords(live: Live, text: string, nowMs: number): Live {
  const { thinkingAtMs } = live;
  const thought = thinkingAtMs === null ? null : (nowMs - thinkingAtMs) / 1000;
  return {
    ...live,
    text: live.text + text,
    words: addPiece(live.words, text),
    queued: null,
    prefill: null,
    thinkingSeconds: live.thinkingSeconds ?? thought,
  };
}

export function addThinking(live: Live, text: string, nowMs: number): Live {
  return {
    ...live,
    thinking: live.thinking + text,
    thinkingAtMs: live.thinkingAtMs ?? nowMs,
    queued: null,
    prefill: null,
  };
}

export function isLive({ role, state }: Message): boolean {
  return role === 'assistant' && (state === 'waiting' || state === 'writing');
}
