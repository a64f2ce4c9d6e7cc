import { describe, expect, it } from 'vitest';
import { detectLanguage, DICTIONARIES } from '../src/words';

type Leaves = Map<string, unknown>;

/** Every word of a dictionary by its path; functions are called with numbers and short texts. */
function leaves(value: unknown, path = '', found: Leaves = new Map()): Leaves {
  if (typeof value === 'object' && value !== null) {
    for (const [key, child] of Object.entries(value)) leaves(child, `${path}.${key}`, found);
  } else {
    found.set(path, value);
  }
  return found;
}

const FAULT_CODES = [
  'bad_json',
  'invalid_parameter',
  'too_long',
  'too_large',
  'busy',
  'timeout',
  'answer_running',
  'unknown_message',
  'answer_complete',
  'store_full',
  'store_failed',
  'unavailable',
  'internal',
] as const;
const HAN = /\p{Script=Han}/u;
/** The same in every language. */
const NAMES = new Set([
  '.language',
  '.switchLanguage',
  '.parameterNames.top_p',
  '.parameterNames.top_k',
  '.parameterNames.min_p',
]);

const { zh, en } = DICTIONARIES;

describe('the dictionaries', () => {
  it('have the same words', () => {
    expect([...leaves(zh).keys()].sort()).toEqual([...leaves(en).keys()].sort());
  });

  it('leave no word empty, and each is of its language', () => {
    for (const [path, word] of leaves(zh)) {
      if (typeof word !== 'string' || NAMES.has(path)) continue;
      expect(word, path).toMatch(HAN);
      expect(word, path).not.toMatch(/\p{Script=Han}[,?:;!]/u);
    }
    for (const [path, word] of leaves(en)) {
      if (typeof word !== 'string' || NAMES.has(path)) continue;
      expect(word, path).toMatch(/\w/);
      expect(word, path).not.toMatch(HAN);
    }
  });

  it('shout nowhere', () => {
    for (const words of [zh, en]) {
      for (const [path, word] of leaves(words))
        expect(String(word), path).not.toMatch(/[!！](?!=)/);
    }
  });

  it('say something of their own about every fault', () => {
    for (const words of [zh, en]) {
      const texts = FAULT_CODES.map((code) => words.fault({ code, message: 'm' }));
      expect(new Set(texts).size).toBe(FAULT_CODES.length);
    }
  });

  it('name the setting, its value and its range', () => {
    const fault = {
      code: 'invalid_parameter',
      message: '',
      field: 'top_p',
      found: '3',
      expected: '0.1 to 1',
    } as const;
    for (const words of [zh, en]) {
      for (const part of ['top_p', '3', '0.1 to 1']) expect(words.fault(fault)).toContain(part);
    }
  });
});

describe('detectLanguage', () => {
  const cases: [string[], string][] = [
    [['zh-CN', 'en'], 'zh'],
    [['zh-Hant-TW'], 'zh'],
    [['fr-FR', 'en-GB', 'zh'], 'en'],
    [['fr'], 'en'],
    [[], 'en'],
  ];
  for (const [wanted, language] of cases) {
    it(`${wanted.join(', ') || 'nothing'} → ${language}`, () =>
      expect(detectLanguage(wanted)).toBe(language));
  }
});
