/** The values that the settings accept: the ranges of `banter.v1`, limited by the context. */

import type { NumberName } from './storage/settings';

export interface Range {
  readonly least: number;
  readonly most: number;
  /** 1 for whole numbers. */
  readonly step: number;
  /** Whether there is a slider: for a long range it would be too coarse. */
  readonly slider: boolean;
}

const LARGEST_SEED = Number.MAX_SAFE_INTEGER;

/** Prompt and answer share `contextTokens`, where they are known. */
export function rangesFor(contextTokens: number | null): Record<NumberName, Range> {
  const longest = Math.min(1_000_000, Math.max(1, contextTokens ?? 1_000_000));
  return {
    max_tokens: { least: 1, most: longest, step: 1, slider: false },
    temperature: { least: 0, most: 2, step: 0.05, slider: true },
    top_p: { least: 0.05, most: 1, step: 0.05, slider: true },
    repetition_penalty: { least: 0.5, most: 2, step: 0.05, slider: true },
    top_k: { least: 0, most: 1_000_000, step: 1, slider: false },
    min_p: { least: 0, most: 1, step: 0.01, slider: true },
    presence_penalty: { least: -2, most: 2, step: 0.1, slider: true },
    frequency_penalty: { least: -2, most: 2, step: 0.1, slider: true },
    seed: { least: 0, most: LARGEST_SEED, step: 1, slider: false },
  };
}

export type Checked =
  /** `null` for an empty field: the default applies. */
  { kind: 'taken'; value: number | null } | { kind: 'refused'; notWhole: boolean };

/** Reads what was typed into a field. */
export function check(text: string, { least, most, step }: Range): Checked {
  if (text.trim() === '') return { kind: 'taken', value: null };
  const value = Number(text);
  const isWhole = step !== 1 || Number.isInteger(value);
  if (value >= least && value <= most && isWhole) return { kind: 'taken', value };
  return { kind: 'refused', notWhole: step === 1 };
}

/** Single-precision numbers from the server read as people write them: 0.7, not 0.699999988. */
export function round(value: number | null): number | null {
  return value === null ? null : Number(value.toPrecision(6));
}
