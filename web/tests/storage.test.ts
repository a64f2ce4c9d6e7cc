import { describe, expect, it } from 'vitest';
import { Ids } from '../src/conversation/ids';
import type { Conversation } from '../src/conversation/reduce';
import type { Message, Outcome } from '../src/conversation/types';
import { Library } from '../src/storage/library';
import { loadPreferences } from '../src/storage/preferences';

class FakeStore {
  items = new Map<string, string>();
  writes: string[] = [];
  /** Characters that fit. */
  room = Infinity;

  get length() {
    return this.items.size;
  }
  key = (at: number) => [...this.items.keys()][at] ?? null;
  getItem = (key: string) => this.items.get(key) ?? null;
  removeItem = (key: string) => void this.items.delete(key);
  setItem = (key: string, value: string) => {
    const others = [...this.items].filter(([other]) => other !== key);
    const used = others.reduce((sum, [, text]) => sum + text.length, value.length);
    if (used > this.room) throw new Error('quota');
    this.writes.push(key);
    this.items.set(key, value);
  };
}

function turn(id: number, text: string, outcome: Outcome = { kind: 'complete' }): Message[] {
  const base = { figures: null, thinking: null, replaces: null };
  return [
    { ...base, id, role: 'user', text, outcome: { kind: 'complete' } },
    { ...base, id: id + 1, role: 'assistant', text: `to ${text}`, outcome },
  ];
}

function kept(messages: Message[], more: Partial<Conversation> = {}): Conversation {
  return { messages, shelf: [], cut: null, ...more };
}

function texts({ messages }: Conversation): string[] {
  return messages.filter(({ role }) => role === 'user').map(({ text }) => text);
}

describe('the library', () => {
  it('gives back all that was kept', () => {
    const store = new FakeStore();
    const fault = { code: 'busy', message: 'm', position: 3, estimateMs: 900 };
    const outcomes: Outcome[] = [
      { kind: 'complete' },
      { kind: 'stopped' },
      { kind: 'cut', tokens: 2_048 },
      { kind: 'cut', tokens: null },
      { kind: 'filtered' },
      { kind: 'unavailable' },
      { kind: 'unfinished' },
      { kind: 'interrupted' },
      { kind: 'failed', fault },
    ];
    const messages = outcomes.flatMap((outcome, at) => turn(10 * at + 1, `q${at}`, outcome));
    const answer: Message = {
      ...messages[1]!,
      figures: { firstWordMs: 20, wordsPerSecond: 7 },
      thinking: { text: 'so', seconds: 2 },
      replaces: 7,
    };
    const conversation = kept([messages[0]!, answer, ...messages.slice(2)], {
      shelf: [{ id: 5, kind: 'replaced', after: 11, messages: turn(501, 'old') }],
      cut: { droppedCount: 2, firstKeptId: 21 },
    });
    expect(new Library(store, 'ada', 'w').save(conversation)).toBe(true);
    expect(new Library(store, 'ada', 'w').load()).toEqual(conversation);
  });

  it('writes only what has changed', () => {
    const store = new FakeStore();
    const library = new Library(store, 'ada', 'w');
    const conversation = kept([...turn(1, 'a'), ...turn(3, 'b')]);
    library.save(conversation);
    store.writes = [];
    library.save({ ...conversation });
    expect(store.writes).toEqual([]);
    const [question, answer] = turn(3, 'b');
    library.save(
      kept([...conversation.messages.slice(0, 2), question!, { ...answer!, text: 'B' }]),
    );
    expect(store.writes).toEqual(['banter.turn.ada.3']);
  });

  it('keeps the turns of two windows that write at the same time', () => {
    const store = new FakeStore();
    const [one, two] = [new Library(store, 'ada', 'w1'), new Library(store, 'ada', 'w2')];
    const first = turn(1, 'both');
    one.save(kept(first));
    two.load();
    two.save(kept([...first, ...turn(3, 'two')]));
    one.save(kept([...first, ...turn(5, 'one')]));
    expect(texts(new Library(store, 'ada', 'w3').load())).toEqual(['both', 'two', 'one']);
  });

  it('takes what another window writes, takes away and removes', () => {
    const store = new FakeStore();
    const [one, two] = [new Library(store, 'ada', 'w1'), new Library(store, 'ada', 'w2')];
    one.load();
    two.save(kept(turn(1, 'a')));
    const take = (key: string) => one.take(key, store.getItem(key));
    expect(texts(take('banter.turn.ada.1')!)).toEqual(['a']);
    two.save(kept([], { shelf: [{ id: 9, kind: 'cleared', after: 0, messages: turn(1, 'a') }] }));
    const cleared = take('banter.thread.ada')!;
    expect([texts(cleared), cleared.shelf[0]?.messages.length]).toEqual([[], 2]);
    two.save(kept([]));
    expect(take('banter.turn.ada.1')!.shelf).toEqual([]);
    expect(one.take('banter.turn.bob.1', '{}')).toBeNull();
    expect(one.take('something else', '{}')).toBeNull();
    store.items.clear();
    expect(one.take(null, null)).toEqual(kept([]));
  });

  it('knows an answer that its own window did not finish from one of another window', () => {
    const store = new FakeStore();
    new Library(store, 'ada', 'w1').save(kept(turn(1, 'a', { kind: 'writing' })));
    const outcomeIn = (window: string) =>
      new Library(store, 'ada', window).load().messages[1]?.outcome.kind;
    expect([outcomeIn('w1'), outcomeIn('w2')]).toEqual(['interrupted', 'elsewhere']);
  });

  it('keeps people apart', () => {
    const store = new FakeStore();
    new Library(store, 'ada', 'w').save(kept(turn(1, 'of Ada')));
    new Library(store, 'bob', 'w').save(kept(turn(3, 'of Bob')));
    expect(texts(new Library(store, 'ada', 'w').load())).toEqual(['of Ada']);
    expect(texts(new Library(store, 'bob', 'w').load())).toEqual(['of Bob']);
    expect(texts(new Library(store, 'b', 'w').load())).toEqual([]);
  });

  it('goes along when the same person gets another name', () => {
    const store = new FakeStore();
    new Library(store, 'bob', 'w').save(kept(turn(3, 'later')));
    const ada = new Library(store, 'ada', 'w');
    ada.save(kept(turn(1, 'earlier')));
    expect(texts(ada.moveTo('bob').load())).toEqual(['earlier', 'later']);
    expect(texts(ada.load())).toEqual([]);
  });

  it('moves nothing where there is no room for it', () => {
    const store = new FakeStore();
    const ada = new Library(store, 'ada', 'w');
    ada.save(kept(turn(1, 'a'.repeat(1_000))));
    store.room = 2_000;
    ada.moveTo('bob');
    expect(texts(ada.load())).toHaveLength(1);
  });

  it('says when there was no room', () => {
    const store = new FakeStore();
    store.room = 10;
    expect(new Library(store, 'ada', 'w').save(kept(turn(1, 'a')))).toBe(false);
    expect(new Library(null, 'ada', 'w').save(kept(turn(1, 'a')))).toBe(false);
  });

  it('takes over the one conversation of an older page', () => {
    const store = new FakeStore();
    const old = [...turn(1, 'a'), ...turn(3, 'b', { kind: 'writing' })];
    store.setItem('banter.conversation', JSON.stringify({ version: 1, messages: old }));
    const library = new Library(store, 'ada', 'w');
    library.takeOld();
    const { messages } = library.load();
    expect(messages.map(({ text }) => text)).toEqual(['a', 'to a', 'b', 'to b']);
    expect(messages[3]?.outcome.kind).toBe('interrupted');
    expect(store.getItem('banter.conversation')).toBeNull();
  });

  const junk = ['', 'nonsense', '[]', '{"version":2}', '{"version":2,"question":{},"answer":{}}'];
  for (const text of junk) {
    it(`takes nothing from ${text || 'an empty string'}`, () => {
      const store = new FakeStore();
      for (const key of ['turn.ada.1', 'thread.ada', 'conversation', 'preferences'])
        store.setItem(`banter.${key}`, text);
      const library = new Library(store, 'ada', 'w');
      library.takeOld();
      expect(library.load()).toEqual(kept([]));
      expect(loadPreferences(store)).toMatchObject({ theme: 'auto', language: 'auto' });
    });
  }
});

describe('ids', () => {
  it('rise, also when the clock is set back and when many come at once', () => {
    const times = [5, 5, 5, 1, 6];
    const ids = new Ids(
      () => times.shift() ?? 6,
      () => 0.5,
    );
    const made = Array.from({ length: 20 }, () => ids.next());
    expect(made.toSorted((a, b) => a - b)).toEqual(made);
    expect(new Set(made).size).toBe(made.length);
  });

  it('come after what is there', () => {
    const ids = new Ids(() => 1);
    ids.after([1e15, 7]);
    expect(ids.next()).toBeGreaterThan(1e15);
  });
});
