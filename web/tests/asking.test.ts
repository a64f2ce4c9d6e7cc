import { beforeEach, describe, expect, it, vi } from 'vitest';
import { Asking } from '../src/asking.svelte';
import type { Received, Sent } from '../src/connection/v1';
import { newThreadName } from '../src/conversation/requests';
import { OpenThread, Threads } from '../src/threads.svelte';
import type { Message } from '../src/wire';
import { FakeStore } from './fake_store';
import { conversation } from './fixtures';

let sent: Sent[];
let store: FakeStore;
let ended: string[];
let threads: Threads;
let asking: Asking;

beforeEach(() => {
  vi.stubGlobal('requestAnimationFrame', () => 1);
  vi.stubGlobal('cancelAnimationFrame', () => {});
  [sent, ended, store] = [[], [], new FakeStore()];
  ({ threads, asking } = page());
});

/** What a tab of the browser has. */
function page() {
  const send = (event: Sent) => sent.push(event) > 0;
  const threads: Threads = new Threads(
    send,
    {
      loaded: (thread) => asking.opened(thread),
      ended: (_, answer) => ended.push(answer),
    },
    () => 0,
  );
  const asking = new Asking(threads, send, store, 'u');
  return { threads, asking };
}

function connect(): void {
  threads.connected();
  asking.connected();
}

function asked(type: 'send' | 'edit' | 'regenerate' | 'continue') {
  return sent.filter((event) => event.type === type) as (Sent & { client_id: string })[];
}

function open(...messages: Message[]): void {
  threads.take({
    type: 'opened',
    conversation: conversation({ leaf: messages.at(-1)?.id ?? null }),
  });
  threads.take({ type: 'messages', conversation: 'c1', messages, more: false });
}

function accept(clientId: string, more: Partial<Received> = {}) {
  return asking.accepted({
    client_id: clientId,
    conversation: 'c1',
    message: 'm1',
    answer: 'a1',
    parent: null,
    duplicate: false,
    ...more,
  } as never);
}

const QUESTION: Message = { id: 'm0', parent: null, role: 'user', text: 'q', created_ms: 1 };
const WHOLE: Message = {
  id: 'a0',
  parent: 'm0',
  role: 'assistant',
  text: 'yes',
  state: 'complete',
  created_ms: 1,
};

function fresh(): OpenThread {
  const thread = new OpenThread(newThreadName());
  threads.adopt(thread);
  return thread;
}

describe('a message', () => {
  it('of a new conversation is sent at once, and its thread gets the id', () => {
    connect();
    const thread = fresh();
    asking.ask(thread, { type: 'send', text: 'hi', system: 'Be brief.' });
    const [event] = asked('send');
    expect(event).toMatchObject({ text: 'hi', system: 'Be brief.' });
    expect(event).not.toHaveProperty('conversation');
    expect(asking.of(thread)[0]?.state.kind).toBe('sent');
    accept(event!.client_id);
    expect(thread.name).toBe('c1');
    expect(asking.of(thread)).toEqual([]);
    expect(store.length).toBe(0);
    // It is shown before the server's own words for it come.
    expect(thread.state.tree.branch(thread.state.leaf).map(({ text }) => text)).toEqual(['hi', '']);
  });

  it('waits for the connection, survives a reload, and is sent once', () => {
    const thread = threads.get('c1');
    asking.ask(thread, { type: 'send', text: 'later' });
    expect(sent).toEqual([]);
    ({ threads, asking } = page());
    expect(asking.requests.map(({ order }) => order)).toEqual([{ type: 'send', text: 'later' }]);
    connect();
    expect(asked('send')).toEqual([]);
    open(QUESTION, WHOLE);
    expect(asked('send')).toHaveLength(1);
    expect(asked('send')[0]).toMatchObject({ conversation: 'c1', text: 'later' });
  });

  it('whose reply was lost is sent again under the same name', () => {
    connect();
    const thread = fresh();
    asking.ask(thread, { type: 'send', text: 'hi' });
    asking.lost();
    threads.lost();
    connect();
    const [first, second] = asked('send');
    expect(second).toEqual(first);
    // Nothing more may be told of what the first one has begun.
    sent = [];
    accept(first!.client_id, { duplicate: true } as never);
    expect(sent).toEqual([{ type: 'open', conversation: 'c1', tag: 'c1' }]);
  });

  it('waits for the answer before it', () => {
    connect();
    const thread = threads.get('c1');
    open(QUESTION, { ...WHOLE, state: 'writing' });
    asking.ask(thread, { type: 'send', text: 'next' });
    expect(asked('send')).toEqual([]);
    threads.take(FINISHED);
    asking.answerEnded(thread, true);
    expect(asked('send')).toHaveLength(1);
  });

  it('is held when the answer before it is not whole, until a person decides', () => {
    connect();
    const thread = threads.get('c1');
    open(QUESTION, { ...WHOLE, state: 'writing' });
    asking.ask(thread, { type: 'send', text: 'next' });
    threads.take(FINISHED);
    asking.answerEnded(thread, false);
    expect(asked('send')).toEqual([]);
    const { clientId, state } = asking.of(thread)[0]!;
    expect(state.kind).toBe('held');
    asking.retry(clientId);
    expect(asked('send')).toHaveLength(1);
  });

  it('can be taken back, unless it is on its way', () => {
    connect();
    const thread = threads.get('c1');
    asking.ask(thread, { type: 'send', text: 'first' });
    asking.ask(thread, { type: 'send', text: 'second' });
    open(QUESTION, WHOLE);
    const [first, second] = asking.of(thread);
    expect(asking.takeBack(first!.clientId)).toBeNull();
    expect(asking.takeBack(second!.clientId)?.order).toEqual({ type: 'send', text: 'second' });
    expect(asking.of(thread)).toHaveLength(1);
  });

  it('that is refused stays, with the reason', () => {
    connect();
    const thread = fresh();
    asking.ask(thread, { type: 'send', text: 'too long' });
    const [event] = asked('send');
    const fault = { code: 'too_long', message: 'm', tokens: 9, limit: 5 } as const;
    expect(asking.refused(event!.client_id, fault)).toBe(true);
    expect(asking.of(thread)[0]?.state).toEqual({ kind: 'refused', fault });
    expect(asking.refused('something else', fault)).toBe(false);
  });

  it('that another tab was quicker with waits for the answer', () => {
    connect();
    const thread = threads.get('c1');
    open(QUESTION, WHOLE);
    asking.ask(thread, { type: 'send', text: 'hi' });
    asking.refused(asked('send')[0]!.client_id, { code: 'answer_running', message: '' });
    expect(asking.of(thread)[0]?.state.kind).toBe('waiting');
  });

  it('that is stopped on its way is stopped when it is accepted', () => {
    connect();
    const thread = fresh();
    asking.ask(thread, { type: 'send', text: 'hi' });
    asking.stopOnceAccepted(thread);
    expect(accept(asked('send')[0]!.client_id)).toBe('stop');
  });

  it('goes on its way when the one before it is taken back or refused for good', () => {
    connect();
    const thread = threads.get('c1');
    open(QUESTION, WHOLE);
    asking.ask(thread, { type: 'send', text: 'first' });
    asking.ask(thread, { type: 'send', text: 'second' });
    const [first] = asking.of(thread);
    asking.refused(first!.clientId, { code: 'busy', message: '' });
    expect(asked('send')).toHaveLength(1);
    asking.takeBack(first!.clientId);
    expect(asked('send').map((event) => (event as { text?: string }).text)).toEqual([
      'first',
      'second',
    ]);
  });

  it('that a person sends now goes before others that wait', () => {
    connect();
    const thread = threads.get('c1');
    open(QUESTION, { ...WHOLE, state: 'writing' });
    for (const text of ['first', 'second']) asking.ask(thread, { type: 'send', text });
    threads.take(FINISHED);
    asking.answerEnded(thread, false);
    asking.retry(asking.of(thread)[1]!.clientId);
    expect(asked('send')[0]).toMatchObject({ text: 'second' });
  });

  it('that was sent before a reload is sent again at once, whatever is being written', () => {
    connect();
    const thread = threads.get('c1');
    open(QUESTION, WHOLE);
    asking.ask(thread, { type: 'send', text: 'hi' });
    ({ threads, asking } = page());
    sent = [];
    connect();
    expect(asked('send')).toHaveLength(1);
  });

  it('goes to the branch that is shown, also before the server knows of it', () => {
    connect();
    const thread = threads.get('c1');
    const other: Message = { ...WHOLE, id: 'a9' };
    open(QUESTION, WHOLE, other);
    asking.ask(thread, { type: 'send', text: 'at the end' });
    expect(asked('send')[0]).not.toHaveProperty('parent');
    asking.refused(asked('send')[0]!.client_id, { code: 'busy', message: '' });
    asking.takeBack(asking.of(thread)[0]!.clientId);
    thread.dispatch({ kind: 'chosen', leaf: 'a0' });
    asking.ask(thread, { type: 'send', text: 'after the first version' });
    expect(asked('send')[1]).toMatchObject({ parent: 'a0' });
  });

  it('that the server could not even read is refused', () => {
    connect();
    const thread = fresh();
    asking.ask(thread, { type: 'send', text: 'very long' });
    asking.stopOnceAccepted(thread);
    asking.refusedUnread({ code: 'busy', message: '' });
    expect(asking.of(thread)[0]?.state.kind).toBe('refused');
    // The stop was for that try.
    const { clientId } = asking.of(thread)[0]!;
    asking.retry(clientId);
    expect(accept(clientId)).toBe('run');
  });

  it('that was asked before the server told who asks belongs to the person who is there', () => {
    const asking = new Asking(threads, () => true, store, 'unknown');
    asking.ask(fresh(), { type: 'send', text: 'early' });
    asking.nameUser('u');
    expect(asking.requests.map(({ order }) => order)).toEqual([{ type: 'send', text: 'early' }]);
    expect([...store.items.keys()]).toEqual([expect.stringContaining('banter.outbox.u.')]);
  });

  it('that does not fit in the storage is sent all the same', () => {
    store.room = 10;
    connect();
    asking.ask(fresh(), { type: 'send', text: 'a long text' });
    expect(asked('send')).toHaveLength(1);
  });
});

const FINISHED: Received = {
  type: 'finished',
  conversation: 'c1',
  answer: 'a0',
  state: 'complete',
  bytes: 3,
  thinking_bytes: 0,
  reason: 'end',
  usage: { prompt_tokens: null, cached_tokens: null, completion_tokens: null },
  timings: { first_token_ms: null, tokens_per_second: null, halt_ms: null },
  seed: null,
};

describe('two tabs', () => {
  it('each send what is written there, and both know what was accepted', () => {
    asking.ask(threads.get('c1'), { type: 'send', text: 'hi' });
    const [key, newValue] = [...store.items][0]!;
    const change = (value: string | null) => ({ key, newValue: value }) as StorageEvent;
    const open = { asking: new Asking(threads, () => true, new FakeStore(), 'u') };
    open.asking.storageChanged(change(newValue));
    expect(open.asking.requests).toEqual([]);
    // A tab that is opened later cannot know whether the first one is still there.
    const later = page();
    expect(later.asking.requests).toHaveLength(1);
    later.asking.storageChanged(change(newValue));
    expect(later.asking.requests).toHaveLength(1);
    later.asking.storageChanged(change(null));
    expect(later.asking.requests).toEqual([]);
    later.asking.storageChanged({ key: 'banter.preferences', newValue: null } as StorageEvent);
  });
});

describe('what is stored of requests', () => {
  it('is taken as far as it is understood', () => {
    const good = JSON.stringify({ thread: 'c1', order: { type: 'send', text: 'a' }, madeMs: 2 });
    store.items.set('banter.outbox.u.2', good);
    store.items.set('banter.outbox.u.3', '{"thread":"c1","order":{"type":"send"}}');
    store.items.set('banter.outbox.u.4', 'no JSON');
    store.items.set('banter.outbox.other.5', good);
    const earlier = good.replace('"madeMs":2', '"madeMs":1').replace('"a"', '"b"');
    store.items.set('banter.outbox.u.6', earlier);
    expect(page().asking.requests.map(({ clientId }) => clientId)).toEqual(['6', '2']);
  });
});

describe('the pieces of an answer', () => {
  it('that do not fit together are asked for again as a whole', () => {
    connect();
    threads.get('c1');
    open(QUESTION, { ...WHOLE, state: 'writing', text: 'yes' });
    sent = [];
    const piece = { conversation: 'c1', answer: 'a0', text: '!' };
    threads.take({ type: 'delta', ...piece, at: 7 });
    expect(sent).toEqual([{ type: 'open', conversation: 'c1', tag: 'c1' }]);
  });

  it('are counted in bytes', () => {
    connect();
    const thread = threads.get('c1');
    open(QUESTION, { ...WHOLE, state: 'writing', text: '你好' });
    sent = [];
    threads.take({ type: 'delta', conversation: 'c1', answer: 'a0', at: 6, text: '！🎉' });
    threads.take({ ...FINISHED, bytes: 13 } as Received);
    expect(sent).toEqual([]);
    expect(thread.state.tree.get('a0')?.text).toBe('你好！🎉');
    expect(ended).toEqual(['a0']);
  });

  it('of a long conversation come in several frames, and are shown together', () => {
    connect();
    const thread = threads.get('c1');
    threads.take({ type: 'opened', conversation: conversation({ leaf: 'a0' }) });
    threads.take({ type: 'messages', conversation: 'c1', messages: [QUESTION], more: true });
    expect(thread.state.isLoaded).toBe(false);
    threads.take({ type: 'messages', conversation: 'c1', messages: [WHOLE], more: false });
    expect(thread.state.tree.branch('a0')).toHaveLength(2);
  });
});

describe('a conversation', () => {
  it('that the server does not know is gone; one that it cannot read now is not', () => {
    vi.useFakeTimers();
    vi.stubGlobal('window', { setTimeout });
    connect();
    const thread = threads.get('c1');
    threads.refused('c1', 'store_failed');
    expect(thread.isGone).toBe(false);
    sent = [];
    vi.advanceTimersByTime(5_000);
    expect(sent).toEqual([{ type: 'open', conversation: 'c1', tag: 'c1' }]);
    threads.refused('c1', 'unknown_conversation');
    expect(thread.isGone).toBe(true);
    vi.useRealTimers();
  });

  it('tells of answers that ended while the page was away, and remembers stops', () => {
    connect();
    const thread = threads.get('c1');
    open(QUESTION, { ...WHOLE, state: 'writing' });
    thread.dispatch({ kind: 'stop_sent', answer: 'a0' });
    threads.lost();
    threads.connected();
    open(QUESTION, { ...WHOLE, state: 'writing' });
    expect(thread.state.live.get('a0')?.stopping).toBe(true);
    expect(ended).toEqual([]);
    open(QUESTION, { ...WHOLE, state: 'interrupted' });
    expect(ended).toEqual(['a0']);
  });
});

describe('conversations that were shown', () => {
  it('are let go of when there are many, but not those with something to do', () => {
    connect();
    for (let index = 0; index < 12; index += 1) {
      const thread = threads.get(`c${index}`);
      threads.shown(thread, ({ name }) => name === 'c0');
    }
    const closed = sent.filter(({ type }) => type === 'close');
    expect(closed).toHaveLength(2);
    expect(threads.find('c0')).toBeDefined();
  });
});
