import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PATHS } from '../src/parts/icons';
import { describe, expect, it } from 'vitest';
import { answerEnd, mustFailAgain } from '../src/answer_end';
import { addThinking, addWords, type Live, liveOf } from '../src/conversation/live';
import type { Request } from '../src/conversation/requests';
import type { Fault, Outcome, Phase } from '../src/conversation/types';
import { check, rangesFor } from '../src/parameters';
import { statusOf } from '../src/status';
import { titleOf } from '../src/title.svelte';
import { DICTIONARIES } from '../src/words';

const { en } = DICTIONARIES;

function failed(code: Fault['code']): Outcome {
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
    {
      outcome: { kind: 'interrupted', reason: 'disconnected' },
      hasText: true,
      text: /ended here/,
      help: 'continue',
    },
    {
      outcome: { kind: 'interrupted', reason: 'crashed' },
      hasText: false,
      text: /unexpectedly. Your message is kept/,
      help: 'again',
    },
    {
      outcome: { kind: 'stopped', haltMs: 0.42 },
      hasText: true,
      text: /Stopped after 0.4 ms, 2 words kept/,
      help: 'continue',
    },
    {
      outcome: { kind: 'stopped', haltMs: null },
      hasText: false,
      text: /before the first word/,
      help: 'again',
    },
    { outcome: failed('too_long'), hasText: false, text: /too long/, help: 'edit' },
    { outcome: failed('too_large'), hasText: false, text: /larger/, help: 'edit' },
    { outcome: failed('invalid_parameter'), hasText: false, text: /setting/, help: 'settings' },
    { outcome: failed('bad_json'), hasText: false, text: /Reload/, help: 'reload' },
    { outcome: failed('busy'), hasText: false, text: /busy/, help: 'again' },
    { outcome: failed('internal'), hasText: true, text: /problem/, help: 'again' },
  ];
  for (const { outcome, hasText, text, help } of cases) {
    it(`is told with what helps: ${JSON.stringify(outcome)}, ${hasText ? 'with' : 'no'} text`, () => {
      const end = answerEnd(outcome, hasText ? 'two words' : '', en)!;
      expect(end.text).toMatch(text);
      expect(end.help).toBe(help);
    });
  }

  it('is no matter for words where the answer is whole or goes on', () => {
    for (const kind of ['complete', 'writing'] as const)
      expect(answerEnd({ kind }, 'text', en)).toBeNull();
  });

  it('offers to ask again only where that can help', () => {
    const codes = ['too_long', 'too_large', 'bad_json', 'busy', 'timeout', 'internal'] as const;
    const must = codes.filter((code) => mustFailAgain(failed(code)));
    expect(must).toEqual(['too_long', 'too_large', 'bad_json']);
  });
});

describe('the status', () => {
  const begun = liveOf({ id: 'a', parent: 'm', role: 'assistant', text: '', created_ms: 0 });
  const open: Phase = { kind: 'open' };
  const told = (live: Live | null, requests: Request[] = [], phase = open) => {
    const { text, count } = statusOf({ phase, everOpen: true, live, requests }, en);
    return [text, count];
  };

  it('is read aloud by phases; the figures are beside it', () => {
    expect(told(null)).toEqual(['Connected', undefined]);
    expect(told(begun)).toEqual(['Reading your message…', undefined]);
    const queued = { ...begun, queued: { ahead: 2, estimate_ms: 7_500 } };
    expect(told(queued)).toEqual(['Waiting…', '2 before you, about 8 s']);
    const reading = { ...begun, prefill: { done: 62, total: 100, cached: 0 } };
    expect(told(reading)).toEqual(['Reading your message…', '62 %']);
    expect(told(addThinking(begun, 'so', 1))).toEqual(['Thinking…', undefined]);
    const writing = addWords(begun, 'one two', 1);
    expect(told(writing)).toEqual(['Writing…', '2 words']);
    expect(told(addWords(writing, ' three', 2))).toEqual(['Writing…', '3 words']);
    expect(told({ ...writing, stopping: true })).toEqual(['Stopping…', undefined]);
  });

  it('says that a request is on its way', () => {
    const order = { type: 'send', text: 'q' } as const;
    const request: Request = { clientId: '1', thread: 'c', order, state: { kind: 'sent' } };
    expect(told(null, [request])).toEqual(['Reading your message…', undefined]);
  });

  it('stands in the title while an answer is written, and when one ended unseen', () => {
    const title = (isAnswering: boolean, isUnseen: boolean) =>
      titleOf('Spring', { isAnswering, isUnseen }, en);
    expect([title(true, false), title(false, true), title(false, false)]).toEqual([
      'Writing… · Spring · banter',
      'Answer ready · Spring · banter',
      'Spring · banter',
    ]);
    expect(titleOf(null, { isAnswering: false, isUnseen: false }, en)).toBe('banter');
  });
});

describe('a setting', () => {
  const { max_tokens: maxTokens, temperature, top_p: topP } = rangesFor(2_048);
  const cases = [
    { text: '', range: temperature, checked: { kind: 'taken', value: null } },
    { text: ' ', range: maxTokens, checked: { kind: 'taken', value: null } },
    { text: '0', range: temperature, checked: { kind: 'taken', value: 0 } },
    { text: '2.5', range: temperature, checked: { kind: 'refused', notWhole: false } },
    { text: '0.04', range: topP, checked: { kind: 'refused', notWhole: false } },
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
    expect(rangesFor(null).max_tokens.most).toBe(1_000_000);
    expect(rangesFor(4_000_000).max_tokens.most).toBe(1_000_000);
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
    const names = Object.keys(PATHS);
    expect(names.length).toBeGreaterThan(5);
    const unused = names.filter((name) => !new RegExp(`'${name}'|"${name}"`).test(text));
    expect(unused).toEqual([]);
  });
});
