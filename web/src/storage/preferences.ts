/**
 * The person's choices, kept in this browser.
 *
 * Never a key or a code: those are exchanged for a cookie that scripts cannot read.
 */

import type { Parameters } from '../conversation/types';
import { asNumber, isRecord, keep, readRecord, type Store } from './store';

export const PREFERENCES_KEY = 'banter.preferences';

export interface Preferences {
  readonly theme: 'auto' | 'light' | 'dark';
  readonly language: 'auto' | 'zh' | 'en';
  readonly parameters: Parameters;
  /** The notice that the demo model answers was read. */
  readonly demoNoticeRead: boolean;
  /** Whether the demo model answered last, so that the page looks right before the server tells. */
  readonly demoAnswered: boolean | null;
}

export function savePreferences(store: Store | null, preferences: Preferences): void {
  // A choice that cannot be kept still holds until the page is closed.
  keep(store, PREFERENCES_KEY, JSON.stringify(preferences));
}

export function loadPreferences(store: Store | null): Preferences {
  const saved = readRecord(store, PREFERENCES_KEY) ?? {};
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
    demoNoticeRead: saved.demoNoticeRead === true,
    demoAnswered: typeof saved.demoAnswered === 'boolean' ? saved.demoAnswered : null,
  };
}

function oneOf<T extends string>(value: unknown, choices: readonly [T, ...T[]]): T {
  return choices.find((choice) => choice === value) ?? choices[0];
}
