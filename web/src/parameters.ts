/** The values that the settings accept: the plain language's ranges, limited by the context. */

import type { NumberName } from './conversation/types';

export interface Range {
  readonly least: number;
  readonly most: number;
  /** 1 for whole numbers. */
  readonly step: number;
  /** Whether there is a slider: for a long range it would be too coarse. */
  readonly slider: boolean;
}

/** Prompt and answer share `contextTokens`, where they are known. */
export function rangesFor(contextTokens: number | null): Record<NumberName, Range> {
  const longest = Math.min(1_000_000, Math.max(1, contextTokens ?? 1_000_000));
  return {
    maxTokens: { least: 1, most: longest, step: 1, slider: false },
    temperature: { least: 0, most: 2, step: 0.05, slider: true },
    topP: { least: 0.1, most: 1, step: 0.05, slider: true },
    repetitionPenalty: { least: 0.5, most: 2, step: 0.05, slider: true },
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
