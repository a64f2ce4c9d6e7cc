import { beforeEach, describe, expect, it, vi } from 'vitest';
import { sentences, Speaking } from '../src/speaking.svelte';

interface Said {
  text: string;
  voice: { name: string };
  onend?: () => void;
}

let said: Said[];

beforeEach(() => {
  said = [];
  vi.stubGlobal(
    'SpeechSynthesisUtterance',
    class {
      constructor(readonly text: string) {}
    },
  );
});

function speaking(...voices: { name: string; lang: string; localService: boolean }[]) {
  return new Speaking({
    getVoices: () => voices,
    speak: (utterance: unknown) => said.push(utterance as Said),
    cancel: () => {},
    addEventListener: () => {},
  } as unknown as SpeechSynthesis);
}

const LOCAL = { name: 'local', lang: 'en-GB', localService: true };
const REMOTE = { name: 'remote', lang: 'en-US', localService: false };
const CHINESE = { name: '本机', lang: 'zh-CN', localService: true };

describe('reading aloud', () => {
  it('uses the voices of the system only', () => {
    expect(speaking(REMOTE).canRead('Hello')).toBe(false);
    const reader = speaking(REMOTE, LOCAL);
    reader.read('a1', 'Hello. And more.');
    expect(said.map(({ text, voice }) => [text, voice.name])).toEqual([
      ['Hello.', 'local'],
      ['And more.', 'local'],
    ]);
  });

  it('has a voice for the language of the text, or is not offered', () => {
    const reader = speaking(LOCAL, CHINESE);
    reader.read('a1', '你好。');
    expect(said[0]?.voice.name).toBe('本机');
    expect(speaking(LOCAL).canRead('你好')).toBe(false);
    expect(new Speaking(undefined).canRead('Hello')).toBe(false);
  });

  it('knows what it reads, until its end', () => {
    const reader = speaking(LOCAL);
    reader.read('a1', 'Hello.');
    expect(reader.current).toBe('a1');
    said.at(-1)?.onend?.();
    expect(reader.current).toBeNull();
    reader.read('a2', 'Hello.');
    reader.stop();
    expect(reader.current).toBeNull();
  });

  it('cuts long texts into pieces, and loses no character', () => {
    const text = `${'word '.repeat(100)}. ${'长'.repeat(500)}。🎉`;
    const pieces = sentences(text);
    expect(Math.max(...pieces.map((piece) => [...piece].length))).toBeLessThanOrEqual(200);
    const bare = (some: string) => some.replace(/\s/g, '');
    expect(bare(pieces.join(''))).toBe(bare(text));
    expect(sentences('')).toEqual([]);
  });
});
