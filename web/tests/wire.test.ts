import { describe, expect, it, vi } from 'vitest';
import { addressesOf } from '../src/connection/address';
import { readEvent } from '../src/connection/v1';
import { eventOf, newThreadName, type Order, type Request } from '../src/conversation/requests';
import { FrameBuffer } from '../src/conversation/frame_buffer';

describe('addressesOf', () => {
  const cases = [
    ['http://localhost:7860/', 'http://localhost:7860/', 'ws://localhost:7860/ws'],
    ['https://a.example/chat/?x=1#code=y', 'https://a.example/chat/', 'wss://a.example/chat/ws'],
    ['http://[::1]:7860/index.html', 'http://[::1]:7860/', 'ws://[::1]:7860/ws'],
  ] as const;
  for (const [page, base, socket] of cases) {
    const stream = `${base}api/stream`;
    it(page, () => expect(addressesOf(page)).toEqual({ base, socket, stream }));
  }
});

describe('readEvent', () => {
  it('reads events, also of types that nobody here knows', () => {
    expect(readEvent('{"type":"pong"}')).toEqual({ type: 'pong' });
    expect(readEvent('{"type":"of a later version"}')).not.toBeNull();
    for (const frame of ['', 'text', '1', 'null', '[]', '{}']) expect(readEvent(frame)).toBeNull();
  });
});

describe('eventOf', () => {
  const request = (thread: string, order: Order): Request => ({
    clientId: 'x1',
    thread,
    order,
    state: { kind: 'waiting' },
  });
  const names = { client_id: 'x1', tag: 'x1' };

  it('makes a conversation of a new thread, with its settings', () => {
    const order = {
      type: 'send',
      text: 'hi',
      system: 'Be brief.',
      parameters: { seed: 1 },
    } as const;
    expect(eventOf(request(newThreadName(), order))).toEqual({ ...order, ...names });
  });

  it('sends no settings to a conversation that has its own', () => {
    const order = { type: 'send', text: 'hi', system: 'Be brief.' } as const;
    const event = eventOf(request('c1', order));
    expect(event).toEqual({ type: 'send', text: 'hi', ...names, conversation: 'c1' });
  });

  it('names the message of everything else', () => {
    const orders = [
      { type: 'edit', message: 'm1', text: 'other' },
      { type: 'regenerate', message: 'a1' },
      { type: 'continue', message: 'a1' },
    ] as const;
    for (const order of orders)
      expect(eventOf(request('c1', order))).toEqual({ ...order, ...names, conversation: 'c1' });
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
