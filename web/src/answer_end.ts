/** How an answer ended, in plain words, and the one action that helps. */

import type { Fault, Message, Outcome } from './conversation/types';
import type { Words } from './words';

export type Help = 'again' | 'continue' | 'edit' | 'settings' | 'reload';

export interface AnswerEnd {
  readonly text: string;
  /** Whether something went wrong; false for an answer that is only incomplete. */
  readonly isTrouble: boolean;
  readonly help: Help | null;
  /** What the server said. */
  readonly detail: string | null;
}

/** `null` if there is nothing to say: the answer is complete, being written, or was stopped. */
export function answerEnd(outcome: Outcome, hasText: boolean, words: Words): AnswerEnd | null {
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
        ...calm(hasText ? words.interrupted : words.interruptedEmpty, goOn),
        isTrouble: true,
      };
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
    case 'elsewhere':
      return calm(words.elsewhere, null);
    case 'writing':
    case 'complete':
    case 'stopped':
      return null;
  }
}

/** Whether the same question, asked once more, could only fail in the same way. */
export function mustFailAgain(outcome: Outcome): boolean {
  return outcome.kind === 'failed' && helpFor(outcome.fault) !== 'again';
}

/** Whether "Continue" can go on with an answer. */
export function canContinue({ outcome, text }: Message): boolean {
  const kinds = ['stopped', 'cut', 'interrupted', 'unavailable', 'unfinished'];
  return text !== '' && kinds.includes(outcome.kind);
}

function helpFor({ code }: Fault): Help {
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
