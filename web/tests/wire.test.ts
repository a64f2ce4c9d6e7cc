import { describe, expect, it } from 'vitest';
import { addressesOf } from '../src/connection/address';
import { readFrame } from '../src/connection/plain';
import { buildRequest } from '../src/conversation/request';
import { FrameBuffer } from '../src/conversation/frame_buffer';
import { loadConversation, loadPreferences, saveConversation } from '../src/conversation/storage';
import { DEFAULT_PARAMETERS, type Message } from '../src/conversation/types';

const LARGE = 1 << 20;

function message(id: number, text: string, kind: 'complete' | 'writing' = 'complete'): Message {
  return { id, role: id % 2 ? 'user' : 'assistant', text, outcome: { kind }, figures: null };
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
      (run) => frames.push(run),
      () => {},
    );
    for (const piece of ['a', 'b', 'c']) buffer.add(piece);
    expect(frames).toHaveLength(1);
    frames.pop()!();
    expect(drawn).toEqual(['abc']);
    buffer.add('d');
    buffer.flush();
    expect(drawn).toEqual(['abc', 'd']);
  });
});

describe('storage', () => {
  class FakeStore {
    items = new Map<string, string>();
    getItem = (key: string) => this.items.get(key) ?? null;
    setItem = (key: string, value: string) => void this.items.set(key, value);
    removeItem = (key: string) => void this.items.delete(key);
  }

  it('gives back the conversation, with a half-written answer as interrupted', () => {
    const store = new FakeStore();
    expect(saveConversation(store, [message(1, 'q'), message(2, 'half', 'writing')])).toBe(true);
    expect(loadConversation(store).map(({ text, outcome }) => [text, outcome.kind])).toEqual([
      ['q', 'complete'],
      ['half', 'interrupted'],
    ]);
  });

  it('gives back why an answer failed', () => {
    const store = new FakeStore();
    const fault = { code: 'busy', message: 'm', position: 3, estimateMs: 900 };
    const failed: Message = { ...message(2, ''), outcome: { kind: 'failed', fault } };
    saveConversation(store, [message(1, 'q'), failed]);
    expect(loadConversation(store)[1]!.outcome).toEqual({ kind: 'failed', fault });
  });

  it('says when there was no room', () => {
    const full = {
      ...new FakeStore(),
      setItem: () => {
        throw new Error('quota');
      },
    };
    expect(saveConversation(full, [message(1, 'q')])).toBe(false);
  });

  for (const junk of [
    '',
    'nonsense',
    '[]',
    '{"version":1,"messages":[{}]}',
    '{"version":9,"messages":[]}',
  ]) {
    it(`takes nothing from ${junk || 'an empty string'}`, () => {
      const store = new FakeStore();
      store.setItem('banter.conversation', junk);
      store.setItem('banter.preferences', junk);
      expect(loadConversation(store)).toEqual([]);
      expect(loadPreferences(store)).toMatchObject({ theme: 'auto', language: 'auto' });
    });
  }
});
