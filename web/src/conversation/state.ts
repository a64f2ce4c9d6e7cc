import type { WordCount } from './count_words';
import type { Cut, Message, Outcome, Phase, Removal } from './types';
import type { Info } from '../wire';

export interface State {
  readonly phase: Phase;
  readonly info: Info | null;
  /** Whole turns, each a question and its answer, sorted by id. */
  readonly messages: readonly Message[];
  /** The answer being written; there is at most one. */
  readonly answering: Answering | null;
  /** What was cleared or replaced, the newest last. */
  readonly shelf: readonly Removal[];
  /** The latest try to answer again that came to nothing: the answer before it stands. */
  readonly attempt: Attempt | null;
  /** Set when the oldest messages no longer reach the model. */
  readonly cut: Cut | null;
  /** Whether this page was ever connected; before that nothing can have been lost. */
  readonly everOpen: boolean;
}

export interface Answering {
  readonly messageId: number;
  readonly sentAtMs: number;
  readonly thinkingAtMs: number | null;
  readonly firstWordAtMs: number | null;
  /** Counted piece by piece: counting the whole answer in each frame would grow with it. */
  readonly words: WordCount;
  /** Stop was pressed; the server's end of the answer is on its way. */
  readonly stopping: boolean;
  /** How the server says that the answer ends, a frame before it does. */
  readonly end: Outcome | null;
}

export interface Attempt {
  /** The answer that stands. */
  readonly messageId: number;
  readonly outcome: Outcome;
}

export const EMPTY_STATE: State = {
  phase: { kind: 'connecting' },
  info: null,
  messages: [],
  answering: null,
  shelf: [],
  attempt: null,
  cut: null,
  everOpen: false,
};
