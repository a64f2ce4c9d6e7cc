/**
 * The pieces of an answer on their way to the page: checked to be complete, drawn once per frame.
 */

import type { Delta, Message } from '../wire';
import { FrameBuffer } from './frame_buffer';

export type DrawPiece = (kind: 'words' | 'thinking', text: string) => void;

export class Arriving {
  private words: Track;
  private thinking: Track;

  constructor({ text, thinking = '' }: Message, draw: DrawPiece) {
    this.words = new Track(text, (piece) => draw('words', piece));
    this.thinking = new Track(thinking, (piece) => draw('thinking', piece));
  }

  /** Returns whether the piece goes on where the text ends. */
  add(kind: 'words' | 'thinking', delta: Delta): boolean {
    return this[kind].add(delta);
  }

  /** Draws what has arrived, thinking before the answer. */
  flush(): void {
    this.thinking.buffer.flush();
    this.words.buffer.flush();
  }

  /** Whether the text has as many bytes as the server says. */
  hasAll(bytes: number, thinkingBytes: number): boolean {
    return this.words.bytes === bytes && this.thinking.bytes === thinkingBytes;
  }
}

class Track {
  readonly buffer: FrameBuffer;
  bytes: number;

  constructor(text: string, draw: (piece: string) => void) {
    this.bytes = byteLength(text);
    this.buffer = new FrameBuffer(draw);
  }

  add({ at, text }: Delta): boolean {
    if (at !== this.bytes) return false;
    this.bytes += byteLength(text);
    this.buffer.add(text);
    return true;
  }
}

const encoder = new TextEncoder();

export function byteLength(text: string): number {
  return encoder.encode(text).length;
}
