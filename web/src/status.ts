/** The text of the status line above the composer. */

import type { Request } from './conversation/requests';
import type { Live } from './conversation/live';
import type { Phase } from './conversation/types';
import type { TalkWords } from './words';

export interface Status {
  /** The colour of the dot; the text alone says as much. */
  readonly tone: 'good' | 'busy' | 'bad';
  /** Screen readers speak it whenever it changes, so it names phases only. */
  readonly text: string;
  /** Changes with every word, so screen readers do not get it. */
  readonly count?: string;
  readonly action: 'retry' | null;
  /** A longer text, shown as a tooltip. */
  readonly detail?: string;
}

/** What the status line is about. */
export interface Situation {
  readonly phase: Phase;
  readonly everOpen: boolean;
  /** The answer that is being made in the conversation that is shown. */
  readonly live: Live | null;
  readonly requests: readonly Request[];
}

export function statusOf(situation: Situation, words: TalkWords): Status {
  const { phase, everOpen, live, requests } = situation;
  if (phase.kind !== 'open') return phaseStatus(phase, everOpen, words);
  if (live) return liveStatus(live, words);
  if (requests[0]?.state.kind === 'sent') return busy(words.reading);
  return { tone: 'good', text: words.connected, action: null };
}

function busy(text: string, count?: string): Status {
  return { tone: 'busy', text, count, action: null };
}

function phaseStatus(phase: Phase, everOpen: boolean, words: TalkWords): Status {
  switch (phase.kind) {
    case 'connecting':
      return busy(everOpen ? words.reconnecting : words.connecting);
    case 'loading':
      return busy(words.loading(Math.floor(phase.progress * 100)));
    case 'locked':
      return { tone: 'bad', text: words.locked, action: null };
    case 'waiting':
      return {
        tone: 'bad',
        text: waitingText(phase.reason, everOpen, words),
        action: 'retry',
        detail: phase.reason === 'unreachable' ? phase.detail : undefined,
      };
    case 'open':
      return { tone: 'good', text: words.connected, action: null };
  }
}

type WaitingReason = Extract<Phase, { kind: 'waiting' }>['reason'];

function waitingText(reason: WaitingReason, everOpen: boolean, words: TalkWords): string {
  if (reason === 'away') return everOpen ? words.reconnecting : words.away;
  return words[reason];
}

function liveStatus(live: Live, words: TalkWords): Status {
  const { queued, prefill, stopping, text, thinking } = live;
  if (stopping) return busy(words.stopping);
  if (text !== '') return busy(words.writing, words.wordCount(live.words.count));
  if (thinking !== '') return busy(words.thinking);
  if (queued && queued.ahead > 0)
    return busy(words.queued, words.queuePlace(queued.ahead, queued.estimate_ms));
  return busy(words.reading, prefill ? percentOf(prefill) : undefined);
}

function percentOf({ done, total }: NonNullable<Live['prefill']>): string | undefined {
  return total === 0 ? undefined : `${Math.floor((100 * done) / total)} %`;
}
