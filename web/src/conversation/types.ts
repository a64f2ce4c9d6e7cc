/** Types that the parts of the page share. */

import type { ErrorCode, FinishReason, V1Error } from '../wire';

/** The state of an answer, as the page shows it. */
export type Outcome =
  | { kind: 'writing' }
  | { kind: 'complete' }
  /** A person stopped it; the computation halted this long after it, if that was measured. */
  | { kind: 'stopped'; haltMs: number | null }
  /** The answer has as many tokens as it may have, or as the context has room for. */
  | { kind: 'cut'; tokens: number | null }
  /** A content filter of the engine held back the rest. */
  | { kind: 'filtered' }
  /** The engine lacked resources for the rest. */
  | { kind: 'unavailable' }
  /** It was cut off from outside: nobody followed it any more, or the server ended. */
  | { kind: 'interrupted'; reason: FinishReason }
  /** The answer is not complete, for a reason that this page does not know. */
  | { kind: 'unfinished' }
  | { kind: 'failed'; fault: Fault };

/** Shown quietly after an answer; `null` where it is not known. */
export interface Figures {
  readonly firstWordMs: number | null;
  readonly wordsPerSecond: number | null;
  /** Tokens of the prompt that had been computed before. */
  readonly reusedTokens: number | null;
  readonly model: string | null;
}

/** Why an answer failed or a request was refused. The page itself finds `too_large`. */
export type Fault = Omit<V1Error, 'code'> & { readonly code: ErrorCode | 'too_large' };

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

/** Why a key is asked for; `trying` while the server looks at one. */
export type LockReason =
  'needed' | 'trying' | 'code_refused' | 'key_refused' | 'too_often' | 'away';
