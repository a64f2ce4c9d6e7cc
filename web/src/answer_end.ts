/** How an answer ended, in plain words, and the one action that helps. */

import { countWords } from './conversation/count_words';
import type { Fault, Outcome } from './conversation/types';
import type { TalkWords } from './words';

export type Help = 'again' | 'continue' | 'edit' | 'settings' | 'reload';

export interface AnswerEnd {
  readonly text: string;
  /** Whether something went wrong; false for an answer that is only incomplete. */
  readonly isTrouble: boolean;
  readonly help: Help | null;
  /** What the server said. */
  readonly detail: string | null;
}

/** `null` if there is nothing to say: the answer is complete, or being written. */
export function answerEnd(outcome: Outcome, text: string, words: TalkWords): AnswerEnd | null {
  const hasText = text !== '';
  const calm = (text: string, help: Help | null) => ({
    text,
    isTrouble: false,
    help,
    detail: null,
  });
  const goOn = hasText ? 'continue' : 'again';
  switch (outcome.kind) {
    case 'failed':
      return {
        text: words.fault(outcome.fault),
        isTrouble: true,
        help: helpFor(outcome.fault),
        detail: outcome.fault.message || null,
      };
    case 'interrupted':
      return {
        ...calm(words.interrupted(outcome.reason, hasText), goOn),
        isTrouble: true,
      };
    case 'stopped':
      return calm(words.stopped(outcome.haltMs, countWords(text)), goOn);
    case 'cut':
      return hasText
        ? calm(words.cutAt(outcome.tokens), 'continue')
        : calm(words.cutEmpty, 'settings');
    case 'filtered':
      return calm(hasText ? words.filtered : words.filteredEmpty, 'edit');
    case 'unavailable':
      return calm(hasText ? words.unavailable : words.unavailableEmpty, goOn);
    case 'unfinished':
      return calm(words.unfinished, goOn);
    case 'writing':
    case 'complete':
      return null;
  }
}

/** Whether the same question, asked once more, could only fail in the same way. */
export function mustFailAgain(outcome: Outcome): boolean {
  return outcome.kind === 'failed' && helpFor(outcome.fault) !== 'again';
}

/** What helps against a fault. */
export function helpFor({ code }: Fault): Help {
  switch (code) {
    case 'too_long':
    case 'too_large':
      return 'edit';
    case 'invalid_parameter':
      return 'settings';
    case 'bad_json':
      return 'reload';
    default:
      return 'again';
  }
}
