import { describe, expect, it } from 'vitest';
import { ThoughtReader, type Thoughts, withoutThoughts } from '../src/markdown/thinking';

/** What is read of a text that comes one character at a time. */
function streamed(text: string): Thoughts[] {
  const reader = new ThoughtReader();
  return Array.from(text, (_, index) => reader.update(text.slice(0, index + 1)));
}

describe('thoughts before an answer', () => {
  const cases: { text: string; thinking: string | null; answer: string; closed?: boolean }[] = [
    { text: '<think>\nI see.\n</think>\n\nYes.', thinking: 'I see.', answer: 'Yes.' },
    { text: '\n<think>想一想</think>好的', thinking: '想一想', answer: '好的' },
    { text: '<thinking>a\n\nb</thinking>c', thinking: 'a\n\nb', answer: 'c' },
    { text: '<think>\n\n</think>\n\nYes.', thinking: '', answer: 'Yes.' },
    { text: '<think>never ends', thinking: 'never ends', answer: '', closed: false },
    { text: 'I see.\n</think>\n\nYes.', thinking: 'I see.', answer: 'Yes.' },
    { text: '</think>\n\nYes.', thinking: '', answer: 'Yes.' },
    { text: 'No thoughts.', thinking: null, answer: 'No thoughts.' },
    { text: 'Write `</think>` here.', thinking: null, answer: 'Write `</think>` here.' },
    { text: 'a\n```\n</think>\n```\n', thinking: null, answer: 'a\n```\n</think>\n```\n' },
    { text: 'Use\n<think>\nx\n</think>\n', thinking: null, answer: 'Use\n<think>\nx\n</think>\n' },
    { text: '<think>a</think>b\n<think>c</think>', thinking: 'a', answer: 'b\n<think>c</think>' },
  ];
  for (const { text, thinking, answer, closed = true } of cases) {
    it(`are parted from it, whole and streamed: ${JSON.stringify(text)}`, () => {
      expect(new ThoughtReader().update(text)).toEqual({ thinking, answer, closed });
      expect(streamed(text).at(-1)).toEqual({ thinking, answer, closed });
      expect(withoutThoughts(text)).toBe(answer);
    });
  }

  it('never appear in the answer, not even half of their end', () => {
    const states = streamed('<think>I see.</think>Yes.');
    expect(
      states
        .slice(7)
        .map(({ answer }) => answer)
        .join(''),
    ).not.toMatch(/see|think|</);
    expect(states.some(({ thinking }) => thinking?.includes('<'))).toBe(false);
  });

  it('are read anew when the text is another', () => {
    const reader = new ThoughtReader();
    reader.update('<think>a</think>b');
    expect(reader.update('other')).toEqual({ thinking: null, answer: 'other', closed: true });
  });
});
