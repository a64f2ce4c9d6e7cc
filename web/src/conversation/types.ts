/** Types that the parts of the page share. */

export type Role = 'user' | 'assistant';

/** The state of an answer. */
export type Outcome =
  | { kind: 'writing' }
  | { kind: 'complete' }
  | { kind: 'stopped' }
  /** The answer has as many tokens as it may have, or as the context has room for. */
  | { kind: 'cut'; tokens: number | null }
  /** A content filter of the engine held back the rest. */
  | { kind: 'filtered' }
  /** The engine lacked resources for the rest. */
  | { kind: 'unavailable' }
  /** The answer is not complete, for a reason that this page does not know. */
  | { kind: 'unfinished' }
  /** The connection ended before the answer did; what had arrived is kept. */
  | { kind: 'interrupted' }
  /** Another window of this browser writes it. */
  | { kind: 'elsewhere' }
  | { kind: 'failed'; fault: Fault };

export interface Message {
  /**
   * Unique in this browser and never reused. Ids rise with time: a conversation is always sorted by
   * them, also where two windows add to it.
   */
  readonly id: number;
  readonly role: Role;
  readonly text: string;
  /** Always `complete` for a user's message. */
  readonly outcome: Outcome;
  readonly figures: Figures | null;
  /** What the model thought before it answered. */
  readonly thinking: Thinking | null;
  /** Of an answer that was asked for again: the removal that holds the answer before it. */
  readonly replaces: number | null;
}

export interface Thinking {
  readonly text: string;
  /** How long it took; `null` while the model still thinks. */
  readonly seconds: number | null;
}

/** Shown quietly after an answer. */
export interface Figures {
  readonly firstWordMs: number;
  /** `null` when the answer was too short to measure. */
  readonly wordsPerSecond: number | null;
}

/** Messages that are off the page and can be brought back. */
export interface Removal {
  readonly id: number;
  readonly kind: RemovalKind;
  /** Messages in the conversation from this id on are the other version of `messages`. */
  readonly from: number;
  /** Whole turns, sorted by id. Empty for `clear_undone`: nothing is to come back. */
  readonly messages: readonly Message[];
  /** Where the model began to read in the conversation that `messages` belonged to. */
  readonly cut: Cut | null;
}

/**
 * Cleared, replaced by another version, or one of both undone: those can be done once more.
 */
export type RemovalKind = 'cleared' | 'replaced' | 'clear_undone' | 'undone';

/** Which messages no longer reach the model. */
export interface Cut {
  readonly droppedCount: number;
  /** The oldest message that the model still reads. */
  readonly firstKeptId: number;
}

/** Why an answer failed, as the server said it; `too_large` is also found by the page. */
export interface Fault {
  readonly code: string;
  readonly message: string;
  readonly field?: string;
  readonly range?: string;
  readonly value?: string;
  readonly position?: number;
  readonly estimateMs?: number;
  readonly tokens?: number;
  readonly limit?: number;
}

/** What the person chose; `null` leaves it to the server. */
export interface Parameters {
  readonly maxTokens: number | null;
  readonly temperature: number | null;
  readonly topP: number | null;
  readonly repetitionPenalty: number | null;
  readonly systemPrompt: string;
}

/** A parameter that is a number. */
export type NumberName = Exclude<keyof Parameters, 'systemPrompt'>;

/** The names of the numeric parameters in a request. */
export const WIRE_NAMES = {
  maxTokens: 'max_tokens',
  temperature: 'temperature',
  topP: 'top_p',
  repetitionPenalty: 'repetition_penalty',
} as const satisfies Record<NumberName, string>;

export const DEFAULT_PARAMETERS: Parameters = {
  maxTokens: null,
  temperature: null,
  topP: null,
  repetitionPenalty: null,
  systemPrompt: '',
};

/** The state of the connection to the server. */
export type Phase =
  | { kind: 'connecting' }
  | { kind: 'open' }
  /** The server is there, the model is not yet; progress from 0 to 1. */
  | { kind: 'loading'; progress: number }
  /** The connection is gone and another try is scheduled. */
  | { kind: 'waiting'; reason: 'away' | 'full' | 'stalled' }
  /** The server is there, the engine behind it is not; with the server's words for why. */
  | { kind: 'waiting'; reason: 'unreachable'; detail: string }
  /** The server wants a key. */
  | { kind: 'locked'; reason: LockReason };

/** Why a key is asked for. */
export type LockReason = 'needed' | 'code_refused' | 'key_refused' | 'too_often';
