/**
 * The last conversation and the person's choices, kept in this browser.
 *
 * Never a key or a code: those are exchanged for a cookie that scripts cannot read.
 */

import {
  DEFAULT_PARAMETERS,
  type Fault,
  type Message,
  type Outcome,
  type Parameters,
} from './types';

const CONVERSATION_KEY = 'banter.conversation';
const PREFERENCES_KEY = 'banter.preferences';
const VERSION = 1;

export interface Preferences {
  readonly theme: 'auto' | 'light' | 'dark';
  readonly language: 'auto' | 'zh' | 'en';
  readonly parameters: Parameters;
}

export const DEFAULT_PREFERENCES: Preferences = {
  theme: 'auto',
  language: 'auto',
  parameters: DEFAULT_PARAMETERS,
};

type Store = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;

/** Returns whether the conversation was kept: storage may be full or blocked. */
export function saveConversation(store: Store | null, messages: readonly Message[]): boolean {
  try {
    if (messages.length === 0) store?.removeItem(CONVERSATION_KEY);
    else store?.setItem(CONVERSATION_KEY, JSON.stringify({ version: VERSION, messages }));
    return store !== null;
  } catch {
    return false;
  }
}

/** What was saved, with an answer that was being written marked as interrupted. */
export function loadConversation(store: Store | null): Message[] {
  const saved = parse(store, CONVERSATION_KEY);
  if (saved?.version !== VERSION || !Array.isArray(saved.messages)) return [];
  const messages = saved.messages.map(asMessage);
  return messages.every((message) => message !== null) ? messages : [];
}

export function savePreferences(store: Store | null, preferences: Preferences): void {
  try {
    store?.setItem(PREFERENCES_KEY, JSON.stringify(preferences));
  } catch {
    // A choice that cannot be kept still holds until the page is closed.
  }
}

export function loadPreferences(store: Store | null): Preferences {
  const saved = parse(store, PREFERENCES_KEY) ?? {};
  const parameters = isRecord(saved.parameters) ? saved.parameters : {};
  return {
    theme: oneOf(saved.theme, ['auto', 'light', 'dark'] as const),
    language: oneOf(saved.language, ['auto', 'zh', 'en'] as const),
    parameters: {
      maxTokens: asNumber(parameters.maxTokens),
      temperature: asNumber(parameters.temperature),
      topP: asNumber(parameters.topP),
      repetitionPenalty: asNumber(parameters.repetitionPenalty),
      systemPrompt: typeof parameters.systemPrompt === 'string' ? parameters.systemPrompt : '',
    },
  };
}

function asMessage(value: unknown): Message | null {
  if (!isRecord(value) || typeof value.text !== 'string' || typeof value.id !== 'number')
    return null;
  if (value.role !== 'user' && value.role !== 'assistant') return null;
  return {
    id: value.id,
    role: value.role,
    text: value.text,
    outcome: asOutcome(value.outcome),
    figures: null,
  };
}

function asOutcome(value: unknown): Outcome {
  const outcome = isRecord(value) ? value : {};
  if (outcome.kind === 'complete' || outcome.kind === 'stopped') return { kind: outcome.kind };
  const fault = outcome.kind === 'failed' ? asFault(outcome.fault) : null;
  return fault ? { kind: 'failed', fault } : { kind: 'interrupted' };
}

function asFault(value: unknown): Fault | null {
  if (!isRecord(value)) return null;
  const texts = ['code', 'message', 'field', 'range', 'value'] as const;
  const numbers = ['position', 'estimateMs', 'tokens', 'limit'] as const;
  const { code, message } = value;
  if (typeof code !== 'string' || typeof message !== 'string') return null;
  const known = [
    ...texts.filter((name) => typeof value[name] === 'string'),
    ...numbers.filter((name) => asNumber(value[name]) !== null),
  ].map((name) => [name, value[name]]);
  return { ...(Object.fromEntries(known) as Partial<Fault>), code, message };
}

function parse(store: Store | null, key: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(store?.getItem(key) ?? 'null');
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function asNumber(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

function oneOf<T extends string>(value: unknown, choices: readonly [T, ...T[]]): T {
  return choices.find((choice) => choice === value) ?? choices[0];
}
