/**
 * What a site chooses for its widget: `data-…` attributes of the script or of the element, or the
 * query of the page for frames. A wrong value is told in the console, and the default holds.
 */

import { isColour } from './colours';

export interface Options {
  /** The address of the server, with a slash at its end. */
  readonly host: string;
  readonly key: string;
  readonly position: 'right' | 'left';
  readonly theme: 'auto' | 'light' | 'dark';
  /** `null` for the colours of banter. */
  readonly accent: string | null;
  readonly accentDark: string | null;
  /** `null` for the words of the language. */
  readonly title: string | null;
  readonly greeting: string | null;
  readonly suggestions: readonly string[];
  /** `null` for the language of the page. */
  readonly language: 'en' | 'zh' | null;
}

/** The attributes, by their names without `data-`. */
export const NAMES = [
  ...['key', 'host', 'position', 'theme', 'accent', 'accent-dark'],
  ...['title', 'greeting', 'suggestions', 'lang'],
] as const;

const MOST_SUGGESTIONS = 6;
const LONGEST_TITLE = 60;

/** Reads the value of a name; `null` or nothing where it is not given. */
export type Read = (name: (typeof NAMES)[number]) => string | null;

export function readOptions(
  read: Read,
  host: string,
  complain: (message: string) => void,
): Options | null {
  const given = (name: (typeof NAMES)[number]) => read(name)?.trim() || null;
  const wrong = (name: string, expected: string, found: string) =>
    complain(`banter: data-${name}: expected ${expected}, found "${found}"`);
  const oneOf = <T extends string>(name: (typeof NAMES)[number], choices: readonly T[]): T => {
    const value = given(name);
    const choice = choices.find((one) => one === value);
    if (value !== null && choice === undefined) wrong(name, choices.join(' or '), value);
    return choice ?? choices[0]!;
  };
  const colour = (name: 'accent' | 'accent-dark') => {
    const value = given(name);
    if (value === null || isColour(value)) return value;
    wrong(name, 'a colour such as #0b6a65', value);
    return null;
  };
  const key = given('key');
  if (key === null) {
    complain('banter: data-key: expected the key that banter key add has printed, found none');
    return null;
  }
  const language = oneOf('lang', ['auto', 'en', 'zh'] as const);
  return {
    host: addressIn(given('host'), host, wrong),
    key,
    position: oneOf('position', ['right', 'left'] as const),
    theme: oneOf('theme', ['auto', 'light', 'dark'] as const),
    accent: colour('accent'),
    accentDark: colour('accent-dark'),
    title: given('title')?.slice(0, LONGEST_TITLE) ?? null,
    greeting: given('greeting'),
    suggestions: suggestionsIn(given('suggestions') ?? ''),
    language: language === 'auto' ? null : language,
  };
}

function suggestionsIn(text: string): string[] {
  const all = text.split('|').map((one) => one.trim());
  return all.filter((one) => one !== '').slice(0, MOST_SUGGESTIONS);
}

function addressIn(
  value: string | null,
  fallback: string,
  wrong: (name: string, expected: string, found: string) => void,
): string {
  if (value === null) return fallback;
  try {
    const { protocol, href } = new URL(value);
    if (protocol === 'https:' || protocol === 'http:')
      return href.endsWith('/') ? href : `${href}/`;
  } catch {
    // It is told below.
  }
  wrong('host', 'an address such as https://chat.example.com/', value);
  return fallback;
}
