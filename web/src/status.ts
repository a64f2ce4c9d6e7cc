/** The text of the status line above the composer. */

import { countWords } from './conversation/count_words';
import { redoable, undoable } from './conversation/shelf';
import type { State } from './conversation/state';
import type { Phase } from './conversation/types';
import type { Words } from './words';

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

export function statusOf(state: State, words: Words): Status {
  if (state.phase.kind !== 'open') return phaseStatus(state.phase, state.everOpen, words);
  if (state.answering) return answeringStatus(state.answering, words);
  return { tone: 'good', text: restingText(state, words), action: null };
}

/** What Undo or Redo would bring back, in a few words; `null` if there is nothing. */
export function removedText(state: State, words: Words): string | null {
  const removal = redoable(state) ?? undoable(state);
  return removal && words.removed[removal.kind];
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

function answeringStatus(answering: NonNullable<State['answering']>, words: Words): Status {
  const busy = (text: string, count?: string) =>
    ({ tone: 'busy', text, count, action: null }) as const;
  if (answering.stopping) return busy(words.stopping);
  if (answering.firstWordAtMs !== null)
    return busy(words.writing, words.wordCount(answering.words.count));
  return busy(answering.thinkingAtMs === null ? words.reading : words.thinking);
}

function restingText(state: State, words: Words): string {
  const { messages, attempt, info } = state;
  if (attempt?.outcome.kind === 'stopped') return words.stoppedInVain;
  if (messages.length === 0 && undoable(state)?.kind === 'cleared') return words.cleared;
  const last = messages.at(-1);
  if (last?.outcome.kind === 'stopped') {
    const count = countWords(last.text);
    return count === 0 ? words.stoppedBefore : words.stoppedAfter(count);
  }
  if (!info) return words.connected('');
  return words.connected(info.model.demo ? words.demoModel : info.model.name);
}
