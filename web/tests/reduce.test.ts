import { describe, expect, it } from 'vitest';
import { countWords } from '../src/conversation/count_words';
import { type Event, reduce } from '../src/conversation/reduce';
import { EMPTY_STATE, type State } from '../src/conversation/state';

const FAULT = { code: 'busy', message: 'too many' };

function run(...events: Event[]): State {
  return events.reduce(reduce, EMPTY_STATE);
}

function asked(text: string, id = 1, at = 0): Event {
  return { kind: 'asked', text, at, userId: id, answerId: id + 1, nowMs: 1_000 };
}

function words(text: string, nowMs = 1_200): Event {
  return { kind: 'words', text, nowMs };
}

const ENDED: Event = { kind: 'ended', nowMs: 3_200 };

describe('an answer', () => {
  it('grows word by word and keeps its text when it ends', () => {
    const state = run(asked('hi'), words('Hello '), words('there'), ENDED);
    expect(state.messages.map(({ role, text }) => [role, text])).toEqual([
      ['user', 'hi'],
      ['assistant', 'Hello there'],
    ]);
    expect(state.messages[1]?.outcome).toEqual({ kind: 'complete' });
    expect(state.answering).toBeNull();
  });

  it('is stopped, not complete, when it ends after a stop', () => {
    const state = run(asked('hi'), words('Hel'), { kind: 'stop_sent' }, ENDED);
    expect(state.messages[1]).toMatchObject({ text: 'Hel', outcome: { kind: 'stopped' } });
  });

  it('is interrupted and kept when the connection ends', () => {
    const state = run(asked('hi'), words('Hel'), { kind: 'lost', nowMs: 2_000 });
    expect(state.messages[1]).toMatchObject({ text: 'Hel', outcome: { kind: 'interrupted' } });
    expect(state.answering).toBeNull();
  });

  it('stays failed when the empty frame follows the fault', () => {
    const state = run(asked('hi'), { kind: 'fault', fault: FAULT }, ENDED);
    expect(state.messages[1]?.outcome).toEqual({ kind: 'failed', fault: FAULT });
  });

  it('is measured from sending to the first word and from there to the end', () => {
    const state = run(asked('hi'), words('one two '), words('three four', 2_000), ENDED);
    expect(state.messages[1]?.figures).toEqual({ firstWordMs: 200, wordsPerSecond: 2 });
  });

  it('has no rate when it was over at once', () => {
    const state = run(asked('hi'), words('yes'), { kind: 'ended', nowMs: 1_210 });
    expect(state.messages[1]?.figures?.wordsPerSecond).toBeNull();
  });
});

describe('events that come when nothing is asked', () => {
  const strays: Event[] = [words('late'), ENDED, { kind: 'stop_sent' }, { kind: 'lost', nowMs: 1 }];

  for (const stray of strays) {
    it(`changes no message: ${stray.kind}`, () => {
      const before = run(asked('hi'), words('Hello'), ENDED);
      expect(reduce(before, stray).messages).toEqual(before.messages);
    });
  }
});

describe('asking in an earlier place', () => {
  it('replaces the message and everything after it', () => {
    const before = run(asked('one', 1), ENDED, asked('two', 3, 2), ENDED);
    const state = reduce(before, asked('other', 5, 0));
    expect(state.messages.map(({ text }) => text)).toEqual(['other', '']);
  });
});

describe('clear', () => {
  it('can be undone until the next message', () => {
    const cleared = run(asked('hi'), ENDED, { kind: 'cleared' });
    expect(cleared.messages).toEqual([]);
    expect(reduce(cleared, { kind: 'clear_undone' }).messages).toHaveLength(2);
    const later = reduce(cleared, asked('new', 9));
    expect(reduce(later, { kind: 'clear_undone' }).messages).toEqual(later.messages);
  });
});

describe('countWords', () => {
  const cases: [string, number][] = [
    ['', 0],
    ['one two', 2],
    ["don't stop-gap", 2],
    ['你好', 2],
    ['用 Python 写', 3],
    ['春眠不觉晓，处处闻啼鸟。', 10],
    ['3.5 · — 🎉', 2],
  ];
  for (const [text, count] of cases) {
    it(`finds ${count} in "${text}"`, () => expect(countWords(text)).toBe(count));
  }
});
