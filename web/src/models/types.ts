/** The models of the server: `GET ./api/models`. */

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
  /** Whether all of it, a part or nothing is on the server. */
  readonly state: 'installed' | 'partial' | 'available';
  readonly bytes: number;
  readonly downloaded_bytes: number;
  readonly licence: string | null;
  /** Whether the licence has no conditions for people who only use the model. */
  readonly is_open: boolean;
  readonly memory_bytes: number | null;
  /** Whether this much memory is free now, while the current model stays loaded. */
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
