/**
 * The person's choices, kept in this browser.
 *
 * Never a key or a code: those are exchanged for a cookie that scripts cannot read.
 */

import { keep, readRecord, type Store } from './store';

export const PREFERENCES_KEY = 'banter.preferences';

export interface Preferences {
  readonly theme: 'auto' | 'light' | 'dark';
  readonly language: 'auto' | 'zh' | 'en';
  /** Whether what is typed is sent ahead, so that the model can prepare. */
  readonly preparesWhileTyping: boolean;
  /** Whether the system tells of answers that end while the page is hidden. */
  readonly notifies: boolean;
  /** Whether the list of conversations is beside the conversation, where there is room. */
  readonly listIsOpen: boolean;
  /** The notice that the demo model answers was read. */
  readonly demoNoticeRead: boolean;
  /** Whether the demo model answered last, so that the page looks right before the server tells. */
  readonly demoAnswered: boolean | null;
}

export function savePreferences(store: Store | null, preferences: Preferences): void {
  // What other versions of the page keep here stays.
  const saved = readRecord(store, PREFERENCES_KEY);
  // A choice that cannot be kept still holds until the page is closed.
  keep(store, PREFERENCES_KEY, JSON.stringify({ ...saved, ...preferences }));
}

export function loadPreferences(store: Store | null): Preferences {
  const saved = readRecord(store, PREFERENCES_KEY) ?? {};
  return {
    theme: oneOf(saved.theme, ['auto', 'light', 'dark'] as const),
    language: oneOf(saved.language, ['auto', 'zh', 'en'] as const),
    preparesWhileTyping: saved.preparesWhileTyping !== false,
    notifies: saved.notifies === true,
    listIsOpen: saved.listIsOpen !== false,
    demoNoticeRead: saved.demoNoticeRead === true,
    demoAnswered: typeof saved.demoAnswered === 'boolean' ? saved.demoAnswered : null,
  };
}

function oneOf<T extends string>(value: unknown, choices: readonly [T, ...T[]]): T {
  return choices.find((choice) => choice === value) ?? choices[0];
}
