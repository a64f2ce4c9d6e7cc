import { describe, expect, it } from 'vitest';
import { addPiece, countWords, NO_WORDS } from '../src/conversation/count_words';
import { figuresOf, outcomeOf } from '../src/conversation/outcome';
import { EMPTY_THREAD, reduce, type Thread, type ThreadEvent } from '../src/conversation/thread';
import { Tree } from '../src/conversation/tree';
import type { Conversation, Finish, FinishReason, Message } from '../src/wire';
import { conversation } from './fixtures';

function user(id: string, parent: string | null, text = id): Message {
  return { id, parent, role: 'user', text, created_ms: 1 };
}

function answer(id: string, parent: string, state: Message['state'] = 'complete'): Message {
  return { id, parent, role: 'assistant', text: `to ${parent}`, state, created_ms: 1 };
}

function waiting(id: string, parent: string): Message {
  return { ...answer(id, parent, 'waiting'), text: '' };
}

function summary(leaf: string | null): Conversation {
  return conversation({ leaf });
}

const NO_USAGE = { prompt_tokens: null, cached_tokens: null, completion_tokens: null };
const NO_TIMINGS = { first_token_ms: null, tokens_per_second: null, halt_ms: null };

function finished(id: string, state: Message['state'], reason: FinishReason): ThreadEvent {
  return {
    kind: 'finished',
    conversation: 'c',
    answer: id,
    state: state!,
    bytes: 0,
    thinking_bytes: 0,
    reason,
    usage: NO_USAGE,
    timings: NO_TIMINGS,
    seed: null,
  };
}

function run(...events: ThreadEvent[]): Thread {
  return events.reduce(reduce, EMPTY_THREAD);
}

function words(id: string, text: string, nowMs = 1_000): ThreadEvent {
  return { kind: 'words', answer: id, text, nowMs };
}

/** Two versions of the first question, and two answers to the second version. */
const MESSAGES = [
  user('m1', null),
  answer('a1', 'm1'),
  user('m2', null),
  answer('a2', 'm2'),
  answer('a3', 'm2'),
  user('m4', 'a3'),
  answer('a4', 'm4'),
];

describe('the tree', () => {
  const tree = Tree.of(MESSAGES);

  it('has a branch for each leaf, and versions for each message', () => {
    expect(tree.branch('a4').map(({ id }) => id)).toEqual(['m2', 'a3', 'm4', 'a4']);
    expect(tree.branch('a1').map(({ id }) => id)).toEqual(['m1', 'a1']);
    expect(tree.branch(null)).toEqual([]);
    expect(tree.versions('m1')).toEqual(['m1', 'm2']);
    expect(tree.versions('a2')).toEqual(['a2', 'a3']);
    expect(tree.versions('a4')).toEqual(['a4']);
  });

  it('leads from a version to the newest end below it', () => {
    expect(tree.newestBelow('m2')).toBe('a4');
    expect(tree.newestBelow('m1')).toBe('a1');
    expect(tree.newestBelow('a2')).toBe('a2');
  });

  it('loses a message with all that follows it', () => {
    const rest = tree.without('a3');
    expect([...rest.messages.keys()]).toEqual(['m1', 'a1', 'm2', 'a2']);
    expect(rest.versions('a2')).toEqual(['a2']);
    expect([...tree.without('m2').messages.keys()]).toEqual(['m1', 'a1']);
  });

  it('loses a question with its answers, and keeps what followed them', () => {
    const rest = tree.withoutPair({ messages: ['m2', 'a2', 'a3'], parent: null });
    expect(rest.branch('a4').map(({ id }) => id)).toEqual(['m4', 'a4']);
    expect(rest.versions('m4')).toEqual(['m1', 'm4']);
  });

  it('ends a branch whose parents are missing or go in a circle', () => {
    expect(Tree.of([user('x', 'nobody')]).branch('x').length).toBe(1);
    const circle = Tree.of([user('x', 'y'), user('y', 'x')]);
    expect(circle.branch('x').length).toBeLessThanOrEqual(2);
  });
});

describe('a thread', () => {
  const opened: ThreadEvent = { kind: 'opened', summary: summary('a4'), messages: MESSAGES };

  it('shows the branch that the server names', () => {
    expect(run(opened).leaf).toBe('a4');
    const unknown = run({ ...opened, summary: summary('gone') });
    expect(unknown.leaf).toBe('a4');
  });

  it('follows a branch that was chosen elsewhere', () => {
    expect(run(opened, { kind: 'summary', summary: summary('a1') }).leaf).toBe('a1');
    // What has not arrived cannot be shown.
    expect(run(opened, { kind: 'summary', summary: summary('a9') }).leaf).toBe('a4');
  });

  it('grows an answer word by word and keeps its text when it ends', () => {
    const growing = run(
      opened,
      { kind: 'message', message: user('m5', 'a4') },
      { kind: 'message', message: waiting('a5', 'm5') },
      words('a5', 'Hello '),
      words('a5', 'there'),
    );
    expect(growing.leaf).toBe('a5');
    expect(growing.live.get('a5')).toMatchObject({ text: 'Hello there', words: { count: 2 } });
    const ended = reduce(growing, finished('a5', 'complete', 'end'));
    expect(ended.live.size).toBe(0);
    expect(ended.tree.get('a5')).toMatchObject({ text: 'Hello there', state: 'complete' });
  });

  it('goes on with an answer that was on its way when it was opened', () => {
    const message = { ...answer('a5', 'm4', 'writing'), text: 'Half ' };
    const thread = run({ ...opened, messages: [...MESSAGES, message] }, words('a5', 'and half'));
    expect(thread.live.get('a5')?.text).toBe('Half and half');
  });

  it('keeps the text of an answer that is continued', () => {
    const cut = { ...answer('a5', 'm4', 'length'), text: 'One ' };
    const { finish: _, ...rest } = { ...cut, finish: undefined };
    const thread = run(
      { ...opened, messages: [...MESSAGES, cut] },
      { kind: 'message', message: { ...rest, state: 'waiting' } },
      words('a5', 'two'),
      finished('a5', 'complete', 'end'),
    );
    expect(thread.tree.get('a5')?.text).toBe('One two');
  });

  it('still shows what follows an answer that is gone on with', () => {
    const cut = { ...answer('a3', 'm2', 'length') };
    const messages = MESSAGES.map((message) => (message.id === 'a3' ? cut : message));
    const going = { ...cut, state: 'waiting' } as const;
    const thread = run({ ...opened, messages }, { kind: 'message', message: going });
    expect(thread.leaf).toBe('a4');
  });

  it('tells the place in the queue, then the prompt, then the words', () => {
    const queued = { conversation: 'c', answer: 'a5', ahead: 2, estimate_ms: 900 };
    const prefill = { conversation: 'c', answer: 'a5', done: 1, total: 4, cached: 0 };
    const begun = [opened, { kind: 'message', message: waiting('a5', 'm4') }] as ThreadEvent[];
    const waits = run(...begun, { kind: 'queued', ...queued });
    expect(waits.live.get('a5')?.queued).toEqual({ ahead: 2, estimate_ms: 900 });
    const reads = reduce(waits, { kind: 'prefill', ...prefill });
    expect(reads.live.get('a5')).toMatchObject({ queued: null, prefill: { done: 1, total: 4 } });
    expect(reduce(reads, words('a5', 'a')).live.get('a5')?.prefill).toBeNull();
  });

  it('measures how long the model thought', () => {
    const thread = run(
      opened,
      { kind: 'message', message: waiting('a5', 'm4') },
      { kind: 'thinking', answer: 'a5', text: 'so', nowMs: 1_500 },
      words('a5', 'Yes', 4_000),
      words('a5', ' and no', 5_000),
      finished('a5', 'complete', 'end'),
    );
    expect(thread.tree.get('a5')).toMatchObject({ text: 'Yes and no', thinking: 'so' });
    expect(thread.thoughtSeconds.get('a5')).toBe(2.5);
  });

  it('shows what is left when messages are deleted', () => {
    const removed = run(opened, { kind: 'removed', id: 'm4' });
    expect(removed.leaf).toBe('a3');
    expect(run(opened, { kind: 'removed', id: 'm2' }).leaf).toBe('a1');
    const none = run(opened, { kind: 'removed', id: 'm2' }, { kind: 'removed', id: 'm1' });
    expect(none.leaf).toBeNull();
    const pair = { messages: ['m4', 'a4'], parent: 'a3' };
    expect(run(opened, { kind: 'removed_pair', pair }).leaf).toBe('a3');
    // Another branch was deleted: nothing changes on the page.
    expect(run(opened, { kind: 'removed', id: 'm1' }).leaf).toBe('a4');
  });

  it('takes no harm from events about answers that it does not have', () => {
    const before = run(opened);
    for (const event of [
      words('other', 'late'),
      finished('other', 'complete', 'end'),
      { kind: 'stop_sent', answer: 'other' } as const,
    ])
      expect(reduce(before, event)).toBe(before);
  });

  it('forgets how it fits when another branch is shown', () => {
    const fit = run(opened, {
      kind: 'context',
      conversation: 'c',
      answer: 'a4',
      left_out: ['m2'],
      prompt_tokens: 9,
      context_tokens: 20,
    });
    expect(fit.fit?.leftOut.has('m2')).toBe(true);
    expect(reduce(fit, { kind: 'chosen', leaf: 'a1' }).fit).toBeNull();
  });
});

describe('the end of an answer', () => {
  const end = (reason: FinishReason): Finish => ({
    reason,
    usage: { ...NO_USAGE, completion_tokens: 8 },
    timings: { ...NO_TIMINGS, halt_ms: 0.4 },
    seed: null,
  });
  const cases: [Message['state'], FinishReason, object][] = [
    ['complete', 'end', { kind: 'complete' }],
    ['length', 'length', { kind: 'cut', tokens: 8 }],
    ['stopped', 'stopped', { kind: 'stopped', haltMs: 0.4 }],
    ['interrupted', 'crashed', { kind: 'interrupted', reason: 'crashed' }],
    ['failed', 'filtered', { kind: 'filtered' }],
    ['failed', 'unavailable', { kind: 'unavailable' }],
    ['failed', 'failed', { kind: 'failed', fault: { code: 'internal', message: '' } }],
    ['something new' as Message['state'], 'end', { kind: 'unfinished' }],
  ];
  for (const [state, reason, outcome] of cases) {
    it(`is read from what is stored: ${state}, ${reason}`, () => {
      const message = { ...answer('a', 'm', state), finish: end(reason) };
      expect(outcomeOf(message)).toEqual(outcome);
    });
  }

  it('has figures, where they say something', () => {
    const message = { ...answer('a', 'm'), text: 'one two three four' };
    const timings = { first_token_ms: 120, tokens_per_second: 20, halt_ms: null };
    const usage = { prompt_tokens: 9, cached_tokens: 5, completion_tokens: 8 };
    const told = { ...message, finish: { ...end('end'), timings, usage } };
    expect(figuresOf(told)).toEqual({
      firstWordMs: 120,
      wordsPerSecond: 10,
      reusedTokens: 5,
      model: null,
    });
    const short = { ...usage, completion_tokens: 3 };
    const brief = { ...message, finish: { ...end('end'), timings, usage: short } };
    expect(figuresOf(brief)?.wordsPerSecond).toBeNull();
    expect(figuresOf(message)).toBeNull();
  });
});

describe('countWords', () => {
  const cases: [string, number][] = [
    ['', 0],
    ['one two', 2],
    ["don't stop-gap", 2],
    ['你好', 2],
    ['用 Python 写', 3],
    ['春眠不觉晓，处处闻啼鸟。', 10],
    ['3.5 · — 🎉', 2],
  ];
  for (const [text, count] of cases) {
    it(`finds ${count} in "${text}"`, () => expect(countWords(text)).toBe(count));
  }

  it('finds as many in pieces, wherever they are cut', () => {
    for (const [text, count] of cases) {
      const characters = [...text];
      expect(characters.reduce(addPiece, NO_WORDS).count, text).toBe(count);
      for (let at = 0; at <= characters.length; at += 1) {
        const pieces = [characters.slice(0, at).join(''), characters.slice(at).join('')];
        expect(pieces.reduce(addPiece, NO_WORDS).count, `${pieces[0]}|${pieces[1]}`).toBe(count);
      }
    }
  });
});
