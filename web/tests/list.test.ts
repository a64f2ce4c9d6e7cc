import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { ConversationsApi } from '../src/connection/conversations';
import { List } from '../src/list/list.svelte';
import { pieces } from '../src/list/marks';
import { parts, sorted } from '../src/list/order';
import { conversationIn, hashOf } from '../src/route';
import type { Conversation, ConversationList } from '../src/wire';
import { conversation } from './fixtures';

function updated(id: string, updated_ms: number, more: Partial<Conversation> = {}) {
  return conversation({ id, updated_ms, ...more });
}

const NOW = new Date(2026, 10, 15, 9, 0).getTime();
const HOUR = 3_600_000;

describe('the list', () => {
  it('has pinned ones first, and among each the newest first', () => {
    const list = [updated('old', 1), updated('pinned', 2, { pinned: true }), updated('new', 3)];
    expect(sorted(list).map(({ id }) => id)).toEqual(['pinned', 'new', 'old']);
  });

  it('is parted by the day, not by hours', () => {
    const list = sorted([
      updated('pinned', NOW - 999 * HOUR, { pinned: true }),
      updated('this morning', NOW - 8 * HOUR),
      updated('last night', NOW - 10 * HOUR),
      updated('three days', NOW - 72 * HOUR),
      updated('two weeks', NOW - 14 * 24 * HOUR),
      updated('long ago', NOW - 400 * 24 * HOUR),
      updated('from the future', NOW + HOUR),
    ]);
    expect(parts(list, NOW).map(({ age, conversations }) => [age, conversations.length])).toEqual([
      ['pinned', 1],
      ['today', 2],
      ['yesterday', 1],
      ['week', 1],
      ['month', 1],
      ['older', 1],
    ]);
  });
});

describe('the loaded list', () => {
  const one = conversation({ id: 'one', title: 'One', messages: 2 });
  const two = conversation({ id: 'two', title: 'Two', messages: 2 });
  let pages: ((page: ConversationList | null) => void)[];
  let deletes: ((isDeleted: boolean) => void)[];
  let list: List;

  beforeEach(() => {
    vi.useFakeTimers();
    vi.stubGlobal('window', { setTimeout, clearTimeout });
    pages = [];
    deletes = [];
    list = new List({
      list: () => new Promise((resolve) => pages.push(resolve)),
      remove: () => new Promise((resolve) => deletes.push(resolve)),
    } as unknown as ConversationsApi);
  });

  async function load(conversations: Conversation[], next: string | null = null): Promise<void> {
    const loaded = list.load();
    pages.at(-1)!({ conversations, next });
    await loaded;
  }

  const titles = () => list.shown.map(({ title }) => title);

  it('has what changed while it was loaded', async () => {
    const loaded = list.load();
    list.changed({
      conversation: 'new',
      change: 'created',
      summary: { ...one, id: 'new', title: 'New' },
    });
    list.changed({ conversation: 'two', change: 'deleted' });
    pages[0]!({ conversations: [one, two], next: null });
    await loaded;
    expect(titles().sort()).toEqual(['New', 'One']);
  });

  it('shows nothing older than what it has when more of it comes', async () => {
    await load([one], 'after one');
    const more = list.loadMore();
    list.changed({ conversation: 'two', change: 'updated', summary: { ...two, title: 'Better' } });
    pages[1]!({ conversations: [two], next: null });
    await more;
    expect(titles().sort()).toEqual(['Better', 'One']);
  });

  it('has what changed while two pages of it were loaded', async () => {
    await load([one], 'after one');
    const loaded = list.load();
    list.changed({ conversation: 'one', change: 'updated', summary: { ...one, title: 'Better' } });
    const more = list.loadMore();
    pages[1]!({ conversations: [one], next: 'after one' });
    pages[2]!({ conversations: [two], next: null });
    await Promise.all([loaded, more]);
    expect(titles().sort()).toEqual(['Better', 'Two']);
  });

  it('is asked for again when a page does not come, as long as the server is there', async () => {
    const asked = async (withinMs = 2_000) => {
      await vi.advanceTimersByTimeAsync(withinMs);
      return pages.length;
    };
    const loaded = list.load();
    pages[0]!(null);
    await loaded;
    expect(await asked()).toBe(2);
    pages[1]!({ conversations: [one], next: 'after one' });
    expect(await asked(0)).toBe(2);
    void list.loadMore();
    pages[2]!(null);
    expect(await asked()).toBe(4);
    pages[3]!(null);
    expect(await asked(0)).toBe(4);
    list.lost();
    expect([await asked(), titles()]).toEqual([4, ['One']]);
  });

  it('has a conversation again whose deletion has failed', async () => {
    await load([one, two]);
    const removal = list.remove(one);
    expect(titles()).toEqual(['Two']);
    vi.advanceTimersByTime(20_000);
    deletes[0]!(false);
    expect(await removal).toBe('failed');
    expect(titles().sort()).toEqual(['One', 'Two']);
  });

  it('deletes no conversation in which somebody goes on', async () => {
    await load([one]);
    const removal = list.remove(one);
    // The end of an answer is nothing new.
    list.changed({ conversation: 'one', change: 'updated', summary: { ...one, updated_ms: 9 } });
    expect(titles()).toEqual([]);
    list.changed({ conversation: 'one', change: 'updated', summary: { ...one, messages: 4 } });
    expect(await removal).toBe('undone');
    vi.advanceTimersByTime(20_000);
    expect([titles(), deletes.length]).toEqual([['One'], 0]);
  });
});

describe('what a search has found', () => {
  it('is marked, though marks count in bytes', () => {
    const snippet = '你好 world 🎉 again';
    expect(
      pieces(snippet, [
        { start: 0, end: 6 },
        { start: 7, end: 12 },
      ]),
    ).toEqual([
      { text: '你好', isFound: true },
      { text: ' ', isFound: false },
      { text: 'world', isFound: true },
      { text: ' 🎉 again', isFound: false },
    ]);
    expect(pieces('plain', [])).toEqual([{ text: 'plain', isFound: false }]);
    expect(pieces('', [])).toEqual([]);
  });
});

describe('the address', () => {
  it('names a conversation, or none', () => {
    expect(conversationIn(hashOf('c1a'))).toBe('c1a');
    for (const hash of ['', '#', '#/', '#/c/', '#code=x', '#/c/a/b', '#/c/../x'])
      expect(conversationIn(hash), hash).toBeNull();
    expect(hashOf(null)).toBe('#/');
  });
});
