/** Entries as earlier versions of the page wrote them, and the file that is made of them. */

import { beforeEach, expect, it } from 'vitest';
import { earlierConversations, takeDrafts, takeOver } from '../src/storage/earlier';
import { isEarlier } from '../src/storage/earlier_keys';
import { loadPreferences, savePreferences } from '../src/storage/preferences';
import { keysOf } from '../src/storage/store';
import { removeTraces, saveUser } from '../src/storage/user';
import WRITTEN from './earlier_entries.json';
import { FakeStore } from './fake_store';

const NOW = 1_767_225_600_000;

/** Ids had room for 1024 in each millisecond; the number is that of the minute. */
function id(minute: number): number {
  return (1_766_000_000_000 + minute * 60_000) * 1024 + 7;
}

function timeOf(minute: number): number {
  return 1_766_000_000_000 + minute * 60_000;
}

let store: FakeStore;

beforeEach(() => (store = new FakeStore()));

function message(role: string, text: string, minute: number, more: object = {}) {
  const rest = { figures: null, thinking: null, replaces: null };
  return { id: id(minute), role, text, outcome: { kind: 'complete' }, ...rest, ...more };
}

function putTurn(minute: number, answer: object = {}, owner = 'u7') {
  const question = message('user', `q${minute}`, minute);
  const whole = { ...message('assistant', `a${minute}`, minute, answer), id: id(minute) + 1 };
  const turn = { version: 2, window: '4711', question, answer: whole };
  store.setItem(`banter.turn.${owner}.${question.id}`, JSON.stringify(turn));
}

interface Removed {
  kind: string;
  at: number;
  from?: number;
  after?: number;
  turns: number[];
}

function putShelf(...shelf: Removed[]) {
  const removals = shelf.map(({ kind, at, turns, ...place }) => ({
    id: id(at),
    kind,
    ...place,
    cut: null,
    turns: turns.map(id),
  }));
  const index = { version: 2, shelf: removals, cut: { droppedCount: 1, firstKeptId: 5 } };
  store.setItem('banter.thread.u7', JSON.stringify(index));
}

interface Entry {
  archived: boolean;
  leaf: string;
  messages: { id: string; parent: string | null; text: string }[];
  [name: string]: unknown;
}

function entries(user = 'u7'): Entry[] {
  return earlierConversations(store, user, NOW).map(({ entry }) => entry as Entry);
}

/** Each conversation as the texts of its branches, the last shown one first. */
function branches(): string[][] {
  return entries().map(({ messages, leaf }) => {
    const byId = new Map(messages.map((one) => [one.id, one]));
    const path = (end: string | null): string => {
      const one = end === null ? undefined : byId.get(end);
      return one ? `${path(one.parent)} ${one.text}`.trim() : '';
    };
    const parents = new Set(messages.map(({ parent }) => parent));
    const ends = messages.map((one) => one.id).filter((end) => !parents.has(end));
    return [leaf, ...ends.filter((end) => end !== leaf)].map(path);
  });
}

it('reads entries that earlier versions of the page have written, named by their commits', () => {
  const expected: Record<keyof typeof WRITTEN, string[][]> = {
    c794911: [['one answer 1 two answer 2']],
    bd6cd02: [
      ['three answer 4'],
      ['one answer 1 two, edited answer 3', 'one answer 1 two answer 2'],
    ],
    '708794d': [
      ['three answer 4'],
      ['one answer 1 two, edited answer 3', 'one answer 1 two answer 2'],
    ],
  };
  for (const [commit, entries] of Object.entries(WRITTEN)) {
    store = new FakeStore();
    for (const [key, value] of Object.entries(entries)) store.setItem(key, value);
    expect(branches(), commit).toEqual(expected[commit as keyof typeof WRITTEN]);
  }
});

it('makes a conversation of the turns of a person, in the order of time', () => {
  putTurn(2);
  putTurn(1);
  putTurn(3, {}, 'somebody');
  const [entry, ...others] = entries();
  expect(others).toEqual([]);
  expect(entry).toMatchObject({
    title_source: 'none',
    archived: false,
    created_ms: timeOf(1),
    updated_ms: timeOf(2),
  });
  expect(branches()).toEqual([['q1 a1 q2 a2']]);
  expect(entry?.messages[0]).toEqual({
    id: `q${id(1)}`,
    parent: null,
    role: 'user',
    state: 'complete',
    text: 'q1',
    created_ms: timeOf(1),
  });
});

it('says how each answer ended', () => {
  interface Case {
    readonly outcome: object;
    readonly end: object;
  }
  const fault = { code: 'busy', message: 'too much is waiting', position: 3 };
  const cases: Case[] = [
    { outcome: { kind: 'complete' }, end: { state: 'complete', reason: 'end' } },
    { outcome: { kind: 'stopped' }, end: { state: 'stopped', reason: 'stopped' } },
    { outcome: { kind: 'cut', tokens: 5 }, end: { state: 'length', reason: 'length' } },
    { outcome: { kind: 'filtered' }, end: { state: 'failed', reason: 'filtered' } },
    { outcome: { kind: 'unavailable' }, end: { state: 'failed', reason: 'unavailable' } },
    { outcome: { kind: 'writing' }, end: { state: 'interrupted', reason: 'disconnected' } },
    { outcome: { kind: 'elsewhere' }, end: { state: 'interrupted', reason: 'disconnected' } },
    {
      outcome: { kind: 'failed', fault },
      end: { state: 'failed', reason: 'failed', error: { code: 'busy', message: fault.message } },
    },
    { outcome: { kind: 'failed' }, end: { state: 'failed', reason: 'failed' } },
    { outcome: { kind: 'new' }, end: { state: 'interrupted', reason: 'disconnected' } },
  ];
  for (const { outcome, end } of cases) {
    putTurn(1, { outcome });
    expect(entries()[0]?.messages[1], JSON.stringify(outcome)).toMatchObject(end);
  }
});

it('keeps thinking and times of an answer', () => {
  const figures = { firstWordMs: 120.5, wordsPerSecond: 9 };
  putTurn(1, { thinking: { text: 'Hm.', seconds: 2 }, figures });
  const answer = { thinking: 'Hm.', timings: { first_token_ms: 120.5 } };
  expect(entries()[0]?.messages[1]).toMatchObject(answer);
});

it('makes branches of other versions', () => {
  // q2 was edited, then q1 was.
  for (const minute of [1, 2, 3, 5, 7]) putTurn(minute);
  putShelf(
    { kind: 'replaced', at: 4, from: id(4), turns: [2, 3] },
    { kind: 'replaced', at: 6, from: id(6), turns: [1, 5] },
  );
  expect(branches()).toEqual([['q7 a7', 'q1 a1 q2 a2 q3 a3', 'q1 a1 q5 a5']]);
});

it('makes branches of what was undone', () => {
  for (const minute of [1, 2, 4]) putTurn(minute);
  putShelf({ kind: 'undone', at: 3, from: id(2), turns: [4] });
  expect(branches()).toEqual([['q1 a1 q2 a2', 'q1 a1 q4 a4']]);
});

it('knows where a version begins from the message before it, as the first pages with versions did', () => {
  for (const minute of [1, 2, 4]) putTurn(minute);
  putShelf({ kind: 'replaced', at: 3, after: id(1) + 1, turns: [2] });
  expect(branches()).toEqual([['q1 a1 q4 a4', 'q1 a1 q2 a2']]);
});

it('archives what was cleared, with its own versions', () => {
  for (const minute of [1, 2, 4, 6]) putTurn(minute);
  putShelf(
    { kind: 'replaced', at: 3, from: id(3), turns: [2] },
    { kind: 'cleared', at: 5, from: id(5), turns: [1, 4] },
  );
  expect(branches()).toEqual([['q6 a6'], ['q1 a1 q4 a4', 'q1 a1 q2 a2']]);
  expect(entries().map(({ archived }) => archived)).toEqual([false, true]);
});

it('archives what was cleared last, where nothing was asked since', () => {
  putTurn(1);
  putShelf({ kind: 'cleared', at: 2, from: id(2), turns: [1] });
  expect(branches()).toEqual([['q1 a1']]);
  expect(entries()[0]?.archived).toBe(true);
});

it('leaves nothing out where clearing was undone', () => {
  for (const minute of [1, 3, 5]) putTurn(minute);
  putShelf(
    { kind: 'clear_undone', at: 2, from: id(2), turns: [] },
    { kind: 'undone', at: 4, from: id(3), turns: [5] },
  );
  expect(branches()).toEqual([['q1 a1 q3 a3', 'q5 a5']]);
});

/** Its ids were no times, and it had one entry. */
function putFirstVersion() {
  const answer = { id: 1, role: 'assistant', text: 'a', outcome: { kind: 'stopped' } };
  const question = { id: 0, role: 'user', text: 'q', outcome: { kind: 'complete' }, figures: null };
  const unanswered = { ...question, id: 5, text: 'unanswered' };
  const messages = [question, answer, unanswered];
  store.setItem('banter.conversation', JSON.stringify({ version: 1, messages }));
}

it('reads the first version, where persons were not told apart', () => {
  putFirstVersion();
  expect(branches()).toEqual([['q a']]);
  expect(entries()[0]).toMatchObject({ created_ms: NOW, updated_ms: NOW });
});

it('gives what has no owner to the person who was here last, or who comes first', () => {
  putFirstVersion();
  putTurn(1, {}, 'unknown');
  expect(entries('u8')).toHaveLength(2);
  store.setItem('banter.owner', 'u7');
  expect(entries('u8')).toHaveLength(0);
  expect(entries('u7')).toHaveLength(2);
});

it('takes the settings over that held for all conversations', () => {
  const numbers = { maxTokens: 50, temperature: null, topP: 0.5, repetitionPenalty: null };
  const parameters = { ...numbers, systemPrompt: 'Be brief.' };
  store.setItem('banter.preferences', JSON.stringify({ theme: 'dark', parameters }));
  savePreferences(store, { ...loadPreferences(store), theme: 'light' });
  putTurn(1);
  expect(entries()[0]).toMatchObject({
    system: 'Be brief.',
    parameters: { max_tokens: 50, top_p: 0.5 },
  });
});

it('reads nothing from what is damaged', () => {
  store.setItem('banter.turn.u7.1', '{"version":2,');
  store.setItem('banter.turn.u7.2', '{"version":2,"question":{"id":2,"role":"user"}}');
  store.setItem('banter.turn.u7.3', '{"version":3}');
  store.setItem('banter.thread.u7', '{"version":2,"shelf":[null,5,{"turns":[1]}]}');
  store.setItem('banter.conversation', '[]');
  expect(entries()).toEqual([]);
});

const TAKEN = { conversations: 1, messages: 2, left_out: [], left_out_count: 0 };

it('imports the oldest first, and removes what the server has', async () => {
  for (const minute of [1, 3]) putTurn(minute);
  putTurn(4, {}, 'somebody');
  putShelf({ kind: 'cleared', at: 2, from: id(2), turns: [1] });
  const files: Record<string, unknown>[] = [];
  const send = async (file: Blob) => {
    files.push(JSON.parse(await file.text()));
    return TAKEN;
  };
  expect(await takeOver(store, 'u7', send)).toBe('taken');
  expect(files).toHaveLength(2);
  expect(files[0]).toMatchObject({ format: 'banter', version: 1 });
  expect(JSON.stringify(files[0])).toContain('"text":"q1"');
  expect(keysOf(store)).toEqual([`banter.turn.somebody.${id(4)}`]);
  expect(await takeOver(store, 'u7', send)).toBe('taken');
  expect(files).toHaveLength(2);
});

it('leaves nothing behind once everybody has come', async () => {
  putTurn(1);
  store.setItem('banter.owner', 'u7');
  const preferences = { theme: 'dark', parameters: { systemPrompt: 'Be brief.' } };
  store.setItem('banter.preferences', JSON.stringify(preferences));
  await takeOver(store, 'u7', async () => TAKEN);
  expect([...store.items]).toEqual([['banter.preferences', '{"theme":"dark"}']]);
});

it('leaves what the server refuses, and what it does not answer', async () => {
  putTurn(1);
  putShelf();
  const before = new Map(store.items);
  const leftOut = { ...TAKEN, conversations: 0, left_out_count: 1, left_out: ['"": too long'] };
  expect(await takeOver(store, 'u7', async () => leftOut)).toBe('refused');
  expect(await takeOver(store, 'u7', async () => ({ refused: { code: 'x' } }))).toBe('refused');
  expect(await takeOver(store, 'u7', async () => ({ refused: null }))).toBe('taken');
  expect(store.items).toEqual(before);
});

it('takes over what was being written', () => {
  const draft = { message: 'new', edits: { [id(1)]: 'changed', [id(2)]: 5 } };
  store.setItem('banter.drafts.u7', JSON.stringify(draft));
  store.setItem('banter.drafts.u7.new', '{"message":"of this page"}');
  expect(takeDrafts(store, 'u7')).toBe('changed\n\nnew');
  expect(takeDrafts(store, 'u7')).toBe('');
  expect(keysOf(store)).toEqual(['banter.drafts.u7.new']);
});

it("survives that another person signs out, and the person's own does not", () => {
  putTurn(1, {}, 'u7');
  putTurn(2, {}, 'u8');
  putShelf();
  saveUser(store, 'u8');
  removeTraces(store);
  expect(keysOf(store).filter(isEarlier)).toEqual([`banter.turn.u7.${id(1)}`]);
  expect(store.getItem('banter.thread.u7')).not.toBeNull();
});
