/** What the quiet line above the composer says. */

import { countWords } from './conversation/count_words';
import type { State } from './conversation/state';
import type { Phase } from './conversation/types';
import type { Words } from './words';

export interface Status {
  /** The colour of the dot; the text alone says as much. */
  readonly tone: 'good' | 'busy' | 'bad';
  readonly text: string;
  readonly action: 'retry' | 'undo' | null;
  /** More than fits the line: shown to who points at it. */
  readonly detail?: string;
}

export function statusOf(state: State, words: Words): Status {
  if (state.phase.kind !== 'open') return phaseStatus(state.phase, state.everOpen, words);
  if (state.answering) return { tone: 'busy', text: answeringText(state, words), action: null };
  if (state.cleared?.length) return { tone: 'good', text: words.cleared, action: 'undo' };
  return { tone: 'good', text: restingText(state, words), action: null };
}

function phaseStatus(phase: Phase, everOpen: boolean, words: Words): Status {
  switch (phase.kind) {
    case 'connecting':
      return { tone: 'busy', text: everOpen ? words.reconnecting : words.connecting, action: null };
    case 'loading':
      return { tone: 'busy', text: words.loading(Math.floor(phase.progress * 100)), action: null };
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
      return { tone: 'good', text: '', action: null };
  }
}

type WaitingReason = Extract<Phase, { kind: 'waiting' }>['reason'];

function waitingText(reason: WaitingReason, everOpen: boolean, words: Words): string {
  if (reason === 'away') return everOpen ? words.reconnecting : words.away;
  return words[reason];
}

function answeringText({ answering, messages }: State, words: Words): string {
  if (answering?.stopping) return words.stopping;
  if (!answering || answering.firstWordAtMs === null) return words.reading;
  return words.writing(countWords(messages.at(-1)?.text ?? ''));
}

function restingText({ messages, info }: State, words: Words): string {
  const last = messages.at(-1);
  if (last?.outcome.kind === 'stopped') {
    const count = countWords(last.text);
    return count === 0 ? words.stoppedBefore : words.stoppedAfter(count);
  }
  if (!info) return words.connected('');
  return words.connected(info.model.demo ? words.demoModel : info.model.name);
}
