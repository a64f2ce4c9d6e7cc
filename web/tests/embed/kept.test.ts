import { describe, expect, it } from 'vitest';
import { Kept } from '../../src/embed/kept';
import { Outbox } from '../../src/storage/outbox';
import { FakeStore } from '../fake_store';

const HOST = 'https://chat.example/';

function kept(browser: FakeStore | null, key = 'first-key', host = HOST): Kept {
  return new Kept({ browser, tab: new FakeStore() }, host, key);
}

describe('what the widget keeps', () => {
  it('is the same at the next visit', () => {
    const store = new FakeStore();
    const first = kept(store);
    first.conversation = 'c1';
    const second = kept(store);
    expect(second.secret()).toBe(first.secret());
    expect(second.conversation).toBe('c1');
    second.conversation = null;
    expect(kept(store).conversation).toBeNull();
  });

  it('is apart for each key and each server', () => {
    const store = new FakeStore();
    const secrets = [
      kept(store),
      kept(store, 'other-key'),
      kept(store, 'first-key', 'https://chat.example/two/'),
    ].map((one) => one.secret());
    expect(new Set(secrets).size).toBe(3);
  });

  it('is 128 random bits that the server takes', () => {
    const secret = kept(new FakeStore()).secret();
    expect(secret).toMatch(/^[\da-f]{32}$/);
    expect(kept(new FakeStore()).secret()).not.toBe(secret);
  });

  it('is made anew if something else stands in its place', () => {
    const store = new FakeStore();
    kept(store).secret();
    const [name] = store.items.keys();
    store.setItem(name!, 'short');
    expect(kept(store).secret()).toMatch(/^[\da-f]{32}$/);
  });

  it('lasts until the page is left where the browser keeps nothing', () => {
    const none = kept(null);
    expect(none.secret()).toBe(none.secret());
    none.conversation = 'c1';
    expect(none.conversation).toBeNull();
  });

  it('has room for requests of its own, and nothing of the page', () => {
    const store = new FakeStore();
    store.setItem('banter.outbox.visitor.x', JSON.stringify({ thread: 't', order: {} }));
    const outbox = new Outbox(kept(store).store, 'visitor');
    expect(outbox.load()).toEqual([]);
    const order = { type: 'send', text: 'hello' } as const;
    outbox.put({ clientId: 'a', thread: 'new-1', order, state: { kind: 'waiting' } }, 1);
    expect(new Outbox(kept(store).store, 'visitor').load()).toHaveLength(1);
    expect(new Outbox(kept(store, 'other-key').store, 'visitor').load()).toEqual([]);
    outbox.remove('a');
    expect(new Outbox(kept(store).store, 'visitor').load()).toEqual([]);
  });
});
