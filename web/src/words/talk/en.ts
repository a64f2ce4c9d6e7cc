import type { Fault } from '../../conversation/types';
import type { FinishReason } from '../../wire';

/**
 * The words of a conversation, which the page and the widget show alike. The shape of this object is
 * the type of this part of the dictionary; `zh.ts` must fill it.
 */
export const talkEn = {
  language: 'en' as 'en' | 'zh',
  suggestionsLabel: 'Things to try',
  conversationLabel: 'Conversation',
  you: 'You',
  newestWords: 'Newest words',
  newConversation: 'New conversation',
  gone: 'This conversation is not there any more.',

  // Composer.
  messageLabel: 'Your message',
  messagePlaceholder: 'Write a message',
  send: 'Send',
  stop: 'Stop',
  sendsAfterAnswer: 'Is sent when the answer has ended',
  sendsLater: 'Is sent when the connection is back',
  held: 'Not sent, because the answer before it is not complete',
  sendNow: 'Send now',
  discard: 'Discard',

  // The status line.
  connecting: 'Connecting…',
  connected: 'Connected',
  loading: (percent: number) => `The model is loading… ${percent} %`,
  reconnecting: 'Reconnecting… your words are safe',
  away: 'The server does not answer. Trying again… your words are safe',
  full: 'The server has no free connection. Trying again…',
  stalled: 'The server answers, but its engine is stuck. Trying again…',
  unreachable: 'The engine behind this server does not answer. Trying again…',
  locked: 'This server asks for a key',
  retryNow: 'Try now',
  reading: 'Reading your message…',
  writing: 'Writing…',
  queued: 'Waiting…',
  queuePlace: (ahead: number, estimateMs: number | null) =>
    `${ahead} before you${estimateMs === null ? '' : `, about ${Math.ceil(estimateMs / 1000)} s`}`,
  wordCount: (words: number) => (words === 1 ? '1 word' : `${words} words`),
  stopping: 'Stopping…',
  // Messages.
  copied: 'Copied',
  copyMessage: 'Copy this message',
  thinking: 'Thinking…',
  thought: (seconds: number | null) =>
    seconds === null ? 'Thought' : `Thought for ${Math.max(1, Math.round(seconds))} s`,
  taskDone: 'Done',
  taskOpen: 'To do',
  copyCode: 'Copy the code',
  wrapLines: 'Wrap long lines',
  downloadCode: 'Download the code',
  askAgain: 'Ask again',
  editQuestion: 'Edit the question',
  continueAnswer: 'Continue',
  stopped: (haltMs: number | null, wordCount: number) =>
    wordCount === 0
      ? 'Stopped before the first word.'
      : `Stopped${haltMs === null ? '' : ` after ${showTime(haltMs)}`}, ${
          wordCount === 1 ? '1 word' : `${wordCount} words`
        } kept.`,
  cutAt: (tokens: number | null) =>
    tokens === null ? 'Cut before its end.' : `Cut at ${tokens.toLocaleString('en')} tokens.`,
  cutEmpty: 'All tokens were used up before the first word. Allow a longer answer.',
  filtered: "The engine's filter held back the rest.",
  filteredEmpty: "The engine's filter held back the answer.",
  unavailable: 'The engine lacked the resources to continue. What had arrived is kept.',
  unavailableEmpty: 'The engine lacked the resources to answer. Your message is kept.',
  unfinished: 'The answer ended before it was complete.',
  interrupted: (reason: FinishReason, hasText: boolean) => {
    const why = {
      shutdown: 'The server was shut down',
      crashed: 'The server ended unexpectedly',
    }[reason as string];
    const what = hasText ? 'What had arrived is kept.' : 'Your message is kept.';
    return `${why ?? 'Nobody followed this answer any more, so it ended here'}. ${what}`;
  },

  // Why there is no answer, and what to do.
  fault: (fault: Fault): string => {
    switch (fault.code) {
      case 'busy':
        return `The server is busy${place(fault)}. Your message is kept; ask again in a moment.`;
      case 'timeout':
        return 'The answer took too long and was given up. Your message is kept; ask again, or ask for less.';
      case 'too_long':
        return `This message is too long for the model${size(fault)}. Shorten it, or send it in parts.`;
      case 'too_large':
        return 'This message is larger than the server accepts. Shorten it, or send it in parts.';
      case 'answer_running':
        return 'Another answer is still being written here. Send this when it has ended.';
      case 'unknown_conversation':
      case 'unknown_message':
      case 'not_an_answer':
      case 'not_a_user_message':
        return 'The message that this is about is not there any more. It was deleted elsewhere.';
      case 'answer_complete':
        return 'This answer is complete already.';
      case 'store_full':
        return 'The conversations take all the room that the server has for them. Delete some and ask again.';
      case 'store_failed':
        return 'The server cannot write its conversations. Your message is kept here; ask again, and tell whoever runs the server.';
      case 'unavailable':
        return 'The model is not ready yet. Your message is kept; ask again in a moment.';
      case 'invalid_parameter':
        return `The server did not accept a setting${setting(fault)}. Change it in the settings and ask again.`;
      case 'bad_json':
        return 'The server did not understand this page. Reload it: page and server may have different versions.';
      default:
        return 'The server had a problem with this answer. Your message is kept; ask again.';
    }
  },

  close: 'Close',
};

export type TalkWords = typeof talkEn;

/** Milliseconds below a second, seconds from there on. */
export function showTime(ms: number): string {
  if (ms >= 1_000) return `${(ms / 1_000).toFixed(1)} s`;
  return ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;
}

function place({ position, retry_after_ms: wait }: Fault): string {
  if (position === undefined) return '';
  return ` (${position} before you${wait === undefined ? '' : `, about ${Math.ceil(wait / 1000)} s`})`;
}

function size(fault: Fault): string {
  return fault.tokens === undefined || fault.limit === undefined
    ? ''
    : ` (${fault.tokens} tokens, ${fault.limit} fit)`;
}

function setting(fault: Fault): string {
  if (fault.field === undefined) return '';
  return ` (${fault.field} = ${fault.found ?? '?'}, expected ${fault.expected ?? '?'})`;
}
