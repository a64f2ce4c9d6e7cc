import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { answerEnd, canContinue, mustFailAgain } from '../src/answer_end';
import { EMPTY_STATE, type State } from '../src/conversation/state';
import { type Event, reduce } from '../src/conversation/reduce';
import type { Outcome } from '../src/conversation/types';
import { check, rangesFor } from '../src/parameters';
import { statusOf } from '../src/status';
import { nextTheme } from '../src/theme';
import { titleOf } from '../src/title.svelte';
import { DICTIONARIES } from '../src/words';

const { en } = DICTIONARIES;

function failed(code: string): Outcome {
  return { kind: 'failed', fault: { code, message: '' } };
}

describe('how an answer ended', () => {
  const cases: { outcome: Outcome; hasText: boolean; text: RegExp; help: string | null }[] = [
    {
      outcome: { kind: 'cut', tokens: 2_048 },
      hasText: true,
      text: /2,048 tokens/,
      help: 'continue',
    },
    { outcome: { kind: 'cut', tokens: null }, hasText: true, text: /Cut/, help: 'continue' },
    { outcome: { kind: 'cut', tokens: 9 }, hasText: false, text: /used up/, help: 'settings' },
    { outcome: { kind: 'filtered' }, hasText: true, text: /held back the rest/, help: 'edit' },
    { outcome: { kind: 'filtered' }, hasText: false, text: /held back the answer/, help: 'edit' },
    { outcome: { kind: 'unavailable' }, hasText: true, text: /resources/, help: 'continue' },
    { outcome: { kind: 'unavailable' }, hasText: false, text: /resources/, help: 'again' },
    {
      outcome: { kind: 'unfinished' },
      hasText: true,
      text: /before it was complete/,
      help: 'continue',
    },
    { outcome: { kind: 'interrupted' }, hasText: true, text: /ended here/, help: 'continue' },
    { outcome: { kind: 'interrupted' }, hasText: false, text: /first word/, help: 'again' },
    { outcome: { kind: 'elsewhere' }, hasText: true, text: /Another window/, help: null },
    { outcome: failed('too_long'), hasText: false, text: /too long/, help: 'edit' },
    { outcome: failed('too_large'), hasText: false, text: /larger/, help: 'edit' },
    { outcome: failed('invalid_parameter'), hasText: false, text: /setting/, help: 'settings' },
    { outcome: failed('bad_json'), hasText: false, text: /Reload/, help: 'reload' },
    { outcome: failed('busy'), hasText: false, text: /busy/, help: 'again' },
    { outcome: failed('internal'), hasText: true, text: /problem/, help: 'again' },
  ];
  for (const { outcome, hasText, text, help } of cases) {
    it(`is told with what helps: ${JSON.stringify(outcome)}, ${hasText ? 'with' : 'no'} text`, () => {
      const end = answerEnd(outcome, hasText, en)!;
      expect(end.text).toMatch(text);
      expect(end.help).toBe(help);
    });
  }

  it('is no matter for words where the answer is whole, goes on, or was stopped', () => {
    for (const kind of ['complete', 'writing', 'stopped'] as const)
      expect(answerEnd({ kind }, true, en)).toBeNull();
  });

  it('offers to ask again only where that can help', () => {
    const codes = ['too_long', 'too_large', 'bad_json', 'busy', 'timeout', 'internal'];
    const must = codes.filter((code) => mustFailAgain(failed(code)));
    expect(must).toEqual(['too_long', 'too_large', 'bad_json']);
  });

  it('can be gone on with where a part is there', () => {
    const base = {
      id: 1,
      role: 'assistant',
      figures: null,
      thinking: null,
      replaces: null,
    } as const;
    const can = (kind: 'stopped' | 'complete', text: string) =>
      canContinue({ ...base, text, outcome: { kind } });
    expect([can('stopped', 'a'), can('stopped', ''), can('complete', 'a')]).toEqual([
      true,
      false,
      false,
    ]);
  });
});

describe('the status', () => {
  const open: Event[] = [
    { kind: 'phase', phase: { kind: 'open' } },
    { kind: 'asked', text: 'q', at: 0, purpose: 'new', userId: 1, answerId: 2, nowMs: 0 },
  ];
  const run = (...events: Event[]): State => [...open, ...events].reduce(reduce, EMPTY_STATE);

  it('is read aloud by phases; the words are counted beside it', () => {
    const states = [
      run(),
      run({ kind: 'thinking', text: 'so', nowMs: 1 }),
      run({ kind: 'words', text: 'one two', nowMs: 1 }),
      run(
        { kind: 'words', text: 'one two', nowMs: 1 },
        { kind: 'words', text: ' three', nowMs: 2 },
      ),
      run({ kind: 'stop_sent' }),
    ];
    const shown = states
      .map((state) => statusOf(state, en))
      .map(({ text, count }) => [text, count]);
    expect(shown).toEqual([
      ['Reading your message…', undefined],
      ['Thinking…', undefined],
      ['Writing…', '2 words'],
      ['Writing…', '3 words'],
      ['Stopping…', undefined],
    ]);
  });

  it('stands in the title while an answer is written, and when one ended unseen', () => {
    expect(titleOf(run(), en, false)).toContain('Writing');
    const ended = run({ kind: 'words', text: 'a', nowMs: 1 }, { kind: 'ended', nowMs: 2 });
    expect([titleOf(ended, en, true), titleOf(ended, en, false)]).toEqual([
      'Answer ready · banter',
      'banter',
    ]);
  });
});

describe('a setting', () => {
  const { maxTokens, temperature, topP } = rangesFor(2_048);
  const cases = [
    { text: '', range: temperature, checked: { kind: 'taken', value: null } },
    { text: ' ', range: maxTokens, checked: { kind: 'taken', value: null } },
    { text: '0', range: temperature, checked: { kind: 'taken', value: 0 } },
    { text: '2.5', range: temperature, checked: { kind: 'refused', notWhole: false } },
    { text: '0.05', range: topP, checked: { kind: 'refused', notWhole: false } },
    { text: '1.5', range: maxTokens, checked: { kind: 'refused', notWhole: true } },
    { text: '2048', range: maxTokens, checked: { kind: 'taken', value: 2_048 } },
    { text: '2049', range: maxTokens, checked: { kind: 'refused', notWhole: true } },
    { text: '1e400', range: maxTokens, checked: { kind: 'refused', notWhole: true } },
    { text: '?', range: temperature, checked: { kind: 'refused', notWhole: false } },
  ];
  for (const { text, range, checked } of cases) {
    it(`"${text}" from ${range.least} to ${range.most} is ${checked.kind}`, () =>
      expect(check(text, range)).toEqual(checked));
  }

  it('may be as long as the wire allows where the context is not known', () => {
    expect(rangesFor(null).maxTokens.most).toBe(1_000_000);
    expect(rangesFor(4_000_000).maxTokens.most).toBe(1_000_000);
  });
});

describe('the theme button', () => {
  it('changes what is seen with its first press, and comes back', () => {
    for (const system of ['light', 'dark'] as const) {
      const first = nextTheme('auto', system);
      const second = nextTheme(first, system);
      expect(first).not.toBe(system);
      expect([second, nextTheme(second, system)]).toEqual([system, 'auto']);
    }
  });
});

describe('the source', () => {
  const folder = join(import.meta.dirname, '../src');
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    /\.(ts|svelte)$/.test(name),
  );
  const outside = files.filter((name) => !name.startsWith('words'));
  const text = outside.map((name) => readFileSync(join(folder, name), 'utf8')).join('\n');

  it('shows every word of the dictionaries', () => {
    const unused = Object.keys(en).filter((word) => !new RegExp(`\\b${word}\\b`).test(text));
    expect(unused).toEqual([]);
  });

  it('shows every icon', () => {
    const icons = readFileSync(join(folder, 'parts/Icon.svelte'), 'utf8');
    const names = [...icons.split('</script>')[0]!.matchAll(/^ {4}(\w+):/gm)].map(
      ([, name]) => name!,
    );
    expect(names.length).toBeGreaterThan(5);
    const unused = names.filter((name) => !new RegExp(`'${name}'|"${name}"`).test(text));
    expect(unused).toEqual([]);
  });
});
