import { describe, expect, it, vi } from 'vitest';
import { addressesOf } from '../src/connection/address';
import { readFrame } from '../src/connection/plain';
import { buildRequest, cutAt } from '../src/conversation/request';
import { FrameBuffer } from '../src/conversation/frame_buffer';
import { DEFAULT_PARAMETERS, type Message } from '../src/conversation/types';

const LARGE = 1 << 20;

function message(id: number, text: string): Message {
  const kind = 'complete';
  const role = id % 2 ? 'user' : 'assistant';
  return { id, role, text, outcome: { kind }, figures: null, thinking: null, replaces: null };
}

function sent(earlier: Message[], parameters = {}, maxBytes = LARGE) {
  const request = buildRequest(earlier, 'new', { ...DEFAULT_PARAMETERS, ...parameters }, maxBytes)!;
  return { request, body: JSON.parse(request.json) as Record<string, unknown> };
}

describe('addressesOf', () => {
  const cases = [
    ['http://localhost:7860/', 'http://localhost:7860/', 'ws://localhost:7860/ws'],
    ['https://a.example/chat/?x=1#code=y', 'https://a.example/chat/', 'wss://a.example/chat/ws'],
    ['http://[::1]:7860/index.html', 'http://[::1]:7860/', 'ws://[::1]:7860/ws'],
  ] as const;
  for (const [page, base, socket] of cases) {
    it(page, () => expect(addressesOf(page)).toEqual({ base, socket }));
  }
});

describe('readFrame', () => {
  it('tells the end, words and faults apart', () => {
    expect(readFrame('')).toEqual({ kind: 'end' });
    expect(readFrame('{"a": 1}')).toEqual({ kind: 'words', text: '{"a": 1}' });
    expect(readFrame('{"error": "text"}')).toEqual({ kind: 'words', text: '{"error": "text"}' });
    expect(
      readFrame('{"error":{"code":"busy","message":"m","position":3,"estimate_ms":900}}'),
    ).toMatchObject({
      kind: 'fault',
      fault: { code: 'busy', message: 'm', position: 3, estimateMs: 900 },
    });
    expect(readFrame('{"error":{"code":"busy"},"more":1}')).toMatchObject({ kind: 'words' });
  });

  it('reads what the model thinks', () => {
    expect(readFrame('{"thinking":"so \\"so\\""}')).toEqual({ kind: 'thinking', text: 'so "so"' });
    for (const words of ['{"thinking":1}', '{"thinking":"a","b":1}', ' {"thinking":"a"}'])
      expect(readFrame(words)).toEqual({ kind: 'words', text: words });
  });

  const ends: [string, unknown][] = [
    ['{"end":{"reason":"end","tokens":3}}', { kind: 'complete' }],
    ['{"end":{"reason":"stop_string"}}', { kind: 'complete' }],
    ['{"end":{"reason":"length","tokens":2048}}', { kind: 'cut', tokens: 2_048 }],
    ['{"end":{"reason":"length"}}', { kind: 'cut', tokens: null }],
    ['{"end":{"reason":"stopped"}}', { kind: 'stopped' }],
    ['{"end":{"reason":"filtered","tokens":1}}', { kind: 'filtered' }],
    ['{"end":{"reason":"unavailable"}}', { kind: 'unavailable' }],
    ['{"end":{"reason":"a new one"}}', { kind: 'unfinished' }],
  ];
  for (const [frame, outcome] of ends) {
    it(`reads how an answer ends: ${frame}`, () =>
      expect(readFrame(frame)).toEqual({ kind: 'end_told', outcome, dropped: 0 }));
  }

  it('reads how many messages the model did not get', () => {
    const frame = '{"end":{"reason":"end","tokens":12,"dropped_messages":6,"more":1}}';
    const outcome = { kind: 'complete' };
    expect(readFrame(frame)).toEqual({ kind: 'end_told', outcome, dropped: 6 });
  });

  it('takes an object that is no report for words', () => {
    for (const words of [
      '{"end":1}',
      '{"end":{}}',
      '{"end":{"reason":"end"},"more":1}',
      '{"end":null}',
    ])
      expect(readFrame(words)).toEqual({ kind: 'words', text: words });
  });
});

describe('cutAt', () => {
  const history = [message(1, 'q'), message(2, 'a'), message(3, 'q'), message(4, 'a')];

  it('is before the first message that the model gets', () => {
    const { request } = sent(history, { systemPrompt: 'Be brief.' });
    expect(cutAt(request, 0, 5)).toBeNull();
    expect(cutAt(request, 2, 5)).toEqual({ droppedCount: 2, firstKeptId: 3 });
    expect(cutAt(request, 4, 5)).toEqual({ droppedCount: 4, firstKeptId: 5 });
  });

  it('counts what was not even sent', () => {
    const long = [message(1, 'x'.repeat(400)), message(2, 'a'), ...history.slice(2)];
    const { request } = sent(long, {}, 400);
    expect(request.trimmedCount).toBe(2);
    expect(cutAt(request, 0, 5)).toEqual({ droppedCount: 2, firstKeptId: 3 });
    expect(cutAt(request, 2, 5)).toEqual({ droppedCount: 4, firstKeptId: 5 });
  });
});

describe('buildRequest', () => {
  it('sends the answers along and only the parameters that were chosen', () => {
    const { body } = sent([message(1, 'q'), message(2, 'a')], {
      temperature: 0,
      systemPrompt: 'Be brief.',
    });
    expect(body).toEqual({
      message: 'new',
      history: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'q' },
        { role: 'assistant', content: 'a' },
      ],
      stream: true,
      report_end: true,
      report_thinking: true,
      temperature: 0,
    });
  });

  it('leaves out parameters that the server does not take', () => {
    const parameters = { ...DEFAULT_PARAMETERS, temperature: 0.5, repetitionPenalty: 1.2 };
    const request = buildRequest([], 'new', parameters, LARGE, ['max_tokens', 'temperature'])!;
    expect(JSON.parse(request.json)).toMatchObject({ message: 'new', temperature: 0.5 });
    expect(request.json).not.toContain('repetition_penalty');
  });

  it('leaves out questions without an answer', () => {
    const { request } = sent([message(1, 'q'), message(2, ''), message(3, 'r'), message(4, 's')]);
    expect(request.sentIds).toEqual([3, 4]);
  });

  it('leaves out what was thought before an answer', () => {
    const thought = [message(1, 'q'), message(2, '<think>\nso\n</think>\n\nYes.')];
    const onlyThought = [message(3, 'r'), message(4, '<think>so')];
    const { body } = sent([...thought, ...onlyThought]);
    expect(body.history).toEqual([
      { role: 'user', content: 'q' },
      { role: 'assistant', content: 'Yes.' },
    ]);
  });

  it('leaves out whole turns from the oldest until the request fits', () => {
    const earlier = Array.from({ length: 20 }, (_, i) => message(i + 1, '字'.repeat(100)));
    const { request } = sent(earlier, {}, 3_000);
    expect(new TextEncoder().encode(request.json).length).toBeLessThanOrEqual(3_000);
    expect(request.trimmedCount + request.sentIds.length).toBe(20);
    expect(request.sentIds[0]! % 2).toBe(1);
  });

  it('gives up when the message alone is too large', () => {
    expect(buildRequest([], 'x'.repeat(100), DEFAULT_PARAMETERS, 100)).toBeNull();
  });
});

describe('FrameBuffer', () => {
  it('draws once per frame, whatever comes', () => {
    const drawn: string[] = [];
    const frames: (() => void)[] = [];
    const buffer = new FrameBuffer(
      (text) => drawn.push(text),
      (run) => {
        frames.push(run);
        return () => {};
      },
    );
    for (const piece of ['a', 'b', 'c']) buffer.add(piece);
    expect(frames).toHaveLength(1);
    frames.pop()!();
    expect(drawn).toEqual(['abc']);
    buffer.add('d');
    buffer.flush();
    expect(drawn).toEqual(['abc', 'd']);
  });

  it('draws where there are no frames, as in a hidden window', () => {
    vi.useFakeTimers();
    vi.stubGlobal('requestAnimationFrame', () => 1);
    vi.stubGlobal('cancelAnimationFrame', () => {});
    const drawn: string[] = [];
    const buffer = new FrameBuffer((text) => drawn.push(text));
    buffer.add('a');
    buffer.add('b');
    vi.advanceTimersByTime(1_000);
    expect(drawn).toEqual(['ab']);
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });
});
