import { describe, expect, it } from 'vitest';
import { nextFrom } from '../src/conversation/newest_first';

/** Messages of these lengths. */
function conversation(...lengths: number[]): { text: string }[] {
  return lengths.map((length) => ({ text: 'x'.repeat(length) }));
}

/** From which index on messages are drawn, batch by batch. */
function batches(messages: { text: string }[]): number[] {
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
    expect(batches(conversation(...Array<number>(10).fill(10_000)))).toEqual([7, 4, 1, 0]);
  });

  it('with a very long answer draws what comes before it later', () => {
    expect(batches(conversation(10, 1_000_000, 10))).toEqual([1, 0]);
  });
});
