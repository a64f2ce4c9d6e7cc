import { describe, expect, it } from 'vitest';
import { Ids } from '../src/conversation/ids';
import type { Conversation } from '../src/conversation/reduce';
import type { Message, Outcome, Removal } from '../src/conversation/types';
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

const CUT = { droppedCount: 2, firstKeptId: 21 };

function cleared(id: number, messages: Message[]): Removal {
  return { id, kind: 'cleared', from: id, messages, cut: null };
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
      shelf: [
        { id: 5, kind: 'replaced', from: 11, messages: turn(501, 'old'), cut: CUT },
        { id: 7, kind: 'clear_undone', from: 7, messages: [], cut: null },
      ],
      cut: CUT,
    });
    expect(new Library(store, 'ada', 'w').save(conversation)).toBe(true);
    expect(new Library(store, 'ada', 'w').load()).toEqual(conversation);
  });

  it('reads removals of an older page, which knew no cut of theirs', () => {
    const store = new FakeStore();
    const removal = { id: 9, kind: 'undone', after: 3, turns: [5] };
    store.setItem('banter.thread.ada', JSON.stringify({ version: 2, shelf: [removal], cut: null }));
    const [question, answer] = turn(5, 'a');
    store.setItem(
      'banter.turn.ada.5',
      JSON.stringify({ version: 2, window: 'w', question, answer }),
    );
    const expected = { id: 9, kind: 'undone', from: 4, messages: turn(5, 'a'), cut: null };
    expect(new Library(store, 'ada', 'w').load().shelf).toEqual([expected]);
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
    two.save(kept([], { shelf: [cleared(9, turn(1, 'a'))] }));
    const taken = take('banter.thread.ada')!;
    expect([texts(taken), taken.shelf[0]?.messages.length]).toEqual([[], 2]);
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

  it('moves also what is only in memory', () => {
    const store = new FakeStore();
    store.room = 3_000;
    const ada = new Library(store, 'ada', 'w');
    const messages = [...turn(1, 'a'), ...turn(3, 'b'.repeat(4_000))];
    ada.save(kept(messages));
    expect(ada.moveTo('bob').load()).toEqual(kept(messages));
    expect(texts(new Library(store, 'bob', 'w').load())).toEqual(['a']);
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

describe('a library without room for all', () => {
  /** Room for a few short turns besides what a test puts in. */
  const SPARE = 2_000;
  const LARGE = 'l'.repeat(10_000);
  const SMALLER = 's'.repeat(6_000);
  const TOO_LONG = 't'.repeat(5 * 2 ** 20);

  /** What stands in the store after these were saved, with room for them and little more. */
  function full(conversation: Conversation) {
    const store = new FakeStore();
    const library = new Library(store, 'ada', 'w');
    expect(library.save(conversation)).toBe(true);
    store.room = used(store) + SPARE;
    return { store, library };
  }

  function used({ items }: FakeStore): number {
    return [...items.values()].reduce((sum, text) => sum + text.length, 0);
  }

  function stored(store: FakeStore): Conversation {
    return new Library(store, 'ada', 'other').load();
  }

  /** What a window knows after another one has written something. */
  function synced(library: Library, store: FakeStore): Conversation {
    new Library(store, 'ada', 'other').load();
    return library.take('banter.thread.ada', store.getItem('banter.thread.ada'))!;
  }

  it('keeps of a removal what fits, and all of it in memory', () => {
    const { store, library } = full(kept([...turn(1, LARGE), ...turn(3, LARGE)]));
    const messages = [...turn(1, LARGE), ...turn(3, LARGE), ...turn(5, LARGE)];
    expect(library.save(kept(messages))).toBe(false);
    const removed = kept([], { shelf: [cleared(9, messages)] });
    expect(library.save(removed)).toBe(true);
    expect(stored(store).shelf).toEqual([cleared(9, messages.slice(0, 4))]);
    expect(synced(library, store)).toEqual(removed);
  });

  it('gives up the oldest removals, and no more of them than the messages need', () => {
    const shelf = [1, 3, 5].map((id) => cleared(10 + id, turn(id, LARGE)));
    const { store, library } = full(kept([], { shelf }));
    const asked = kept(turn(21, SMALLER), { shelf });
    expect(library.save(asked)).toBe(true);
    expect(stored(store)).toEqual({ ...asked, shelf: shelf.slice(1) });
    expect(synced(library, store)).toEqual(asked);
  });

  it('does not try to store again what made room', () => {
    const shelf = [1, 3].map((id) => cleared(10 + id, turn(id, LARGE)));
    const { store, library } = full(kept([], { shelf }));
    const asked = kept(turn(21, SMALLER), { shelf });
    library.save(asked);
    store.room = Infinity;
    store.writes = [];
    library.save({ ...asked });
    expect(store.writes).toEqual([]);
    const [, newer] = shelf;
    const undone = kept([...turn(1, LARGE), ...turn(21, SMALLER)], { shelf: [newer!] });
    expect(library.save(undone)).toBe(true);
    expect(stored(store)).toEqual(undone);
  });

  it('gives up nothing for a turn that no browser keeps', () => {
    const shelf = [cleared(11, turn(1, LARGE))];
    const { store, library } = full(kept([], { shelf }));
    const asked = kept([...turn(21, 'short'), ...turn(23, TOO_LONG)], { shelf });
    expect(library.save(asked)).toBe(false);
    expect(stored(store)).toEqual({ ...asked, messages: turn(21, 'short') });
    expect(synced(library, store)).toEqual(asked);
  });

  it('gives up nothing in vain: all that was stored stays', () => {
    const shelf = [1, 3].map((id) => cleared(10 + id, turn(id, SMALLER)));
    const { store, library } = full(kept(turn(21, 'short'), { shelf }));
    const before = stored(store);
    const grown = turn(21, LARGE + LARGE);
    for (const more of ['', 'more'])
      expect(library.save(kept([grown[0]!, { ...grown[1]!, text: LARGE + more }], { shelf }))).toBe(
        false,
      );
    expect(stored(store)).toEqual(before);
    expect(texts(synced(library, store))).toEqual([LARGE + LARGE]);
    expect(library.save(kept(turn(21, 'short again'), { shelf }))).toBe(true);
    expect(stored(store)).toEqual(kept(turn(21, 'short again'), { shelf }));
  });

  it('has no room at all, and forgets nothing while the page lives', () => {
    const store = new FakeStore();
    store.room = 0;
    const library = new Library(store, 'ada', 'w');
    const conversation = kept(turn(3, 'b'), { shelf: [cleared(2, turn(1, 'a'))] });
    expect(library.save(conversation)).toBe(false);
    expect(library.moveTo('bob').load()).toEqual(conversation);
  });

  it('keeps what it could not store when another window writes', () => {
    const { store, library } = full(kept(turn(1, 'a')));
    const messages = [...turn(1, 'a'), ...turn(3, LARGE)];
    library.save(kept(messages));
    const other = new Library(store, 'ada', 'other');
    const { messages: seen } = other.load();
    other.save(kept([...seen, ...turn(5, 'theirs')]));
    const taken = library.take('banter.turn.ada.5', store.getItem('banter.turn.ada.5'))!;
    expect(texts(taken)).toEqual(['a', LARGE, 'theirs']);
  });
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
