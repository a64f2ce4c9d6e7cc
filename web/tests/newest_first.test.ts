import { describe, expect, it } from 'vitest';
import { nextFrom } from '../src/conversation/newest_first';
import { type Event, reduce } from '../src/conversation/reduce';
import { EMPTY_STATE } from '../src/conversation/state';
import type { Message } from '../src/conversation/types';

/** A conversation whose answers have these lengths; ids are 1, 2, 3 and so on. */
function conversation(...lengths: number[]): readonly Message[] {
  const events = lengths.flatMap((length, at): Event[] => {
    const ids = { userId: 2 * at + 1, answerId: 2 * at + 2 };
    return [
      { kind: 'asked', text: 'q', at: 2 * at, purpose: 'new', ...ids, nowMs: 0 },
      { kind: 'words', text: 'x'.repeat(length), nowMs: 0 },
      { kind: 'ended', nowMs: 0 },
    ];
  });
  return events.reduce(reduce, EMPTY_STATE).messages;
}

/** From which id on messages are drawn, batch by batch. */
function batches(messages: readonly Message[]): number[] {
  const from = [nextFrom(messages)];
  while (from.at(-1) !== 0) from.push(nextFrom(messages, from.at(-1)));
  return from;
}

describe('a conversation', () => {
  it('that is short is drawn at once', () => {
    expect(batches(conversation())).toEqual([0]);
    expect(batches(conversation(5_000, 5_000, 5_000))).toEqual([0]);
  });

  it('that is long is drawn from its end, and in the end as a whole', () => {
    expect(batches(conversation(...Array<number>(10).fill(10_000)))).toEqual([16, 10, 4, 0]);
  });

  it('with a very long answer draws it in a batch of its own', () => {
    expect(batches(conversation(10, 1_000_000, 10))).toEqual([4, 0]);
  });
});
