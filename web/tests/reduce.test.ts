import { describe, expect, it } from 'vitest';
import { addPiece, countWords, NO_WORDS } from '../src/conversation/count_words';
import { type Event, reduce } from '../src/conversation/reduce';
import { EMPTY_STATE, type State } from '../src/conversation/state';

const FAULT = { code: 'busy', message: 'too many' };

function run(...events: Event[]): State {
  return events.reduce(reduce, EMPTY_STATE);
}

function asked(text: string, id = 1, at = 0): Event {
  const ids = { userId: id, answerId: id + 1 };
  return { kind: 'asked', text, at, purpose: 'new', ...ids, nowMs: 1_000 };
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

describe('thinking', () => {
  const thought = (text: string, nowMs: number): Event => ({ kind: 'thinking', text, nowMs });

  it('is kept beside the answer, with the time it took', () => {
    const thinking = run(asked('hi'), thought('so ', 1_500), thought('and so', 2_000));
    expect(thinking.messages[1]).toMatchObject({
      text: '',
      thinking: { text: 'so and so', seconds: null },
    });
    const state = [words('Yes', 4_000), words(' and no', 5_000), ENDED].reduce(reduce, thinking);
    expect(state.messages[1]).toMatchObject({
      text: 'Yes and no',
      thinking: { text: 'so and so', seconds: 2.5 },
    });
  });

  it('that is all there is has its time when the answer ends', () => {
    const state = run(asked('hi'), thought('so', 1_500), { kind: 'ended', nowMs: 3_500 });
    expect(state.messages[1]?.thinking).toEqual({ text: 'so', seconds: 2 });
  });
});

describe('the end that the server tells', () => {
  const told = { kind: 'end_told', outcome: { kind: 'cut', tokens: 8 } } as const;

  it('is how the answer ended', () => {
    const state = run(asked('hi'), words('Hel'), told, ENDED);
    expect(state.messages[1]?.outcome).toEqual({ kind: 'cut', tokens: 8 });
  });

  it('says no more than Stop, a fault or a lost connection', () => {
    const fault = { kind: 'fault', fault: FAULT } as const;
    const lost = { kind: 'lost', nowMs: 2_000 } as const;
    const kinds = [
      run(asked('hi'), told, { kind: 'stop_sent' }, ENDED),
      run(asked('hi'), fault, ENDED),
      run(asked('hi'), words('Hel'), lost),
    ].map(({ messages }) => messages[1]?.outcome.kind);
    expect(kinds).toEqual(['stopped', 'failed', 'interrupted']);
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

  it('finds as many in pieces, wherever they are cut', () => {
    for (const [text, count] of cases) {
      const characters = [...text];
      expect(characters.reduce(addPiece, NO_WORDS).count, text).toBe(count);
      for (let at = 0; at <= characters.length; at += 1) {
        const pieces = [characters.slice(0, at).join(''), characters.slice(at).join('')];
        expect(pieces.reduce(addPiece, NO_WORDS).count, `${pieces[0]}|${pieces[1]}`).toBe(count);
      }
    }
  });
});
