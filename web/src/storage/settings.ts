/** How the answers of a conversation are made: its system prompt and its parameters. */

import type { Parameters } from '../wire';
import { asNumber, isRecord } from './store';

export interface Settings {
  /** The system prompt; empty for the server's own. */
  readonly system: string;
  /** What is missing has the model's value. */
  readonly parameters: Parameters;
}

export const NO_SETTINGS: Settings = { system: '', parameters: {} };

/** A parameter that is a number. */
export type NumberName = Exclude<keyof Parameters, 'stop'>;

export const NUMBER_NAMES = [
  'max_tokens',
  'temperature',
  'top_p',
  'repetition_penalty',
  'top_k',
  'min_p',
  'presence_penalty',
  'frequency_penalty',
  'seed',
] as const satisfies readonly NumberName[];

/** Settings that were kept as JSON; what is not understood is left out. */
export function readSettings(value: unknown): Settings {
  if (!isRecord(value)) return NO_SETTINGS;
  const system = typeof value.system === 'string' ? value.system : '';
  const saved = isRecord(value.parameters) ? value.parameters : {};
  const parameters: Parameters = {};
  for (const name of NUMBER_NAMES) {
    const number = asNumber(saved[name]);
    if (number !== null) parameters[name] = number;
  }
  const isEmpty = system === '' && Object.keys(parameters).length === 0;
  return isEmpty ? NO_SETTINGS : { system, parameters };
}

/** The same with one parameter changed; `null` takes it out. */
export function withNumber(settings: Settings, name: NumberName, value: number | null): Settings {
  const { [name]: _, ...others } = settings.parameters;
  return { ...settings, parameters: value === null ? others : { ...others, [name]: value } };
}
