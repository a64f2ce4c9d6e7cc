import { describe, expect, it } from 'vitest';
import { pieces } from '../src/list/marks';
import { parts, sorted } from '../src/list/order';
import { conversationIn, hashOf } from '../src/route';
import type { Conversation } from '../src/wire';
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
