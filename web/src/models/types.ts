/** What the server has to choose from: `GET ./api/models`. */

export interface ModelList {
  /** Name of the one that answers. */
  readonly current: string | null;
  /** Whether this page may pull and switch. */
  readonly may_change: boolean;
  readonly models: readonly ModelEntry[];
  /** The latest pull and the latest switch since the server's start. */
  readonly pull: PullReport | null;
  readonly switch: SwitchReport | null;
}

export interface ModelEntry {
  readonly name: string;
  /** How much of it is on the server: all, a part, nothing. */
  readonly state: 'installed' | 'partial' | 'available';
  readonly bytes: number;
  readonly downloaded_bytes: number;
  readonly licence: string | null;
  /** Whether the licence asks nothing of those who only use the model. */
  readonly is_open: boolean;
  readonly memory_bytes: number | null;
  /** Whether so much memory is free now, beside the model that answers. */
  readonly fits: boolean | null;
  readonly demo: boolean;
}

export interface PullReport {
  readonly name: string;
  readonly phase: 'looking' | 'fetching' | 'waiting' | 'checking';
  readonly downloaded_bytes: number;
  readonly total_bytes: number;
  readonly state: JobState;
}

export interface SwitchReport {
  readonly name: string;
  /** From 0 to 1. */
  readonly progress: number;
  readonly state: JobState;
}

export type JobState =
  | { readonly status: 'running' }
  | { readonly status: 'done' }
  | {
      readonly status: 'failed';
      readonly code: 'licence' | 'too_large' | 'stopped' | 'failed';
      readonly message: string;
    };

/** What a person agrees to with a pull. */
export interface Agreed {
  readonly accept_licence: boolean;
  readonly even_if_too_large: boolean;
}

export const NOTHING_AGREED: Agreed = { accept_licence: false, even_if_too_large: false };
