import type { Message, Phase, ServerInfo } from './types';

export interface State {
  readonly phase: Phase;
  readonly info: ServerInfo | null;
  readonly messages: readonly Message[];
  /** The answer being written; there is at most one. */
  readonly answering: Answering | null;
  /** What "Clear" took away, until the next message is sent. */
  readonly cleared: readonly Message[] | null;
  /** Set when the oldest messages no longer reach the model. */
  readonly cut: Cut | null;
  /** Whether this page was ever connected; before that nothing can have been lost. */
  readonly everOpen: boolean;
}

export interface Answering {
  readonly messageId: number;
  readonly sentAtMs: number;
  readonly firstWordAtMs: number | null;
  /** Stop was pressed; the server's end of the answer is on its way. */
  readonly stopping: boolean;
}

export interface Cut {
  readonly droppedCount: number;
  /** The oldest message that the model still reads. */
  readonly firstKeptId: number;
}

export const EMPTY_STATE: State = {
  phase: { kind: 'connecting' },
  info: null,
  messages: [],
  answering: null,
  cleared: null,
  cut: null,
  everOpen: false,
};
