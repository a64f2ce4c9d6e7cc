/**
 * Reads the entries of a zip file, as much as Office files need. The browser inflates; entries are
 * found through the directory at the end, as every program does.
 *
 * Everything in the file is hostile: places are checked against its end, and the unpacked bytes are
 * counted while they come, because the sizes in the directory may lie.
 * Source: PKWARE's APPNOTE 6.3, sections 4.3.7, 4.3.12 and 4.3.16.
 */

import { Refused } from '../attachment';

interface Entry {
  readonly isEncrypted: boolean;
  readonly method: number;
  readonly packedBytes: number;
  /** Where its own header begins. */
  readonly start: number;
}

const END_SIGNATURE = 0x06054b50;
const END_BYTES = 22;
const DIRECTORY_SIGNATURE = 0x02014b50;
const DIRECTORY_BYTES = 46;
const LOCAL_SIGNATURE = 0x04034b50;
const LOCAL_BYTES = 30;
const MOST_COMMENT_BYTES = 0xffff;

const STORED = 0;
const DEFLATED = 8;

/** So little at once, because browsers inflate a piece, up to a thousandfold, without a pause. */
const PIECE_BYTES = 4096;

export class Zip {
  private readonly view: DataView;
  private readonly entries: Map<string, Entry>;
  private unpackedBytes = 0;

  /** All entries together unpack to no more than `limitBytes`; then reading one is refused. */
  constructor(
    private readonly bytes: Uint8Array,
    private readonly limitBytes: number,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.entries = this.readDirectory();
  }

  has(name: string): boolean {
    return this.entries.has(name);
  }

  /** The content of an entry; `null` if there is none of that name. */
  async read(name: string): Promise<Uint8Array | null> {
    const entry = this.entries.get(name);
    if (entry === undefined) return null;
    if (entry.isEncrypted) throw new Refused({ reason: 'locked' });
    const packed = this.packed(entry);
    if (entry.method === STORED) {
      this.count(packed.length);
      return packed;
    }
    if (entry.method !== DEFLATED) throw damaged();
    return this.inflate(packed);
  }

  private readDirectory(): Map<string, Entry> {
    const end = this.findEnd();
    const count = this.u16(end + 10);
    const entries = new Map<string, Entry>();
    let at = this.u32(end + 16);
    for (let index = 0; index < count; index += 1) {
      if (this.u32(at) !== DIRECTORY_SIGNATURE) throw damaged();
      const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((offset) =>
        this.u16(at + offset),
      ) as [number, number, number];
      const name = this.slice(at + DIRECTORY_BYTES, nameBytes);
      entries.set(new TextDecoder().decode(name), {
        isEncrypted: (this.u16(at + 8) & 1) !== 0,
        method: this.u16(at + 10),
        packedBytes: this.u32(at + 20),
        start: this.u32(at + 42),
      });
      at += DIRECTORY_BYTES + nameBytes + extraBytes + commentBytes;
    }
    return entries;
  }

  /** The record at the end, before a comment of any length. */
  private findEnd(): number {
    const last = this.bytes.length - END_BYTES;
    for (let at = last; at >= Math.max(0, last - MOST_COMMENT_BYTES); at -= 1) {
      if (this.view.getUint32(at, true) === END_SIGNATURE) return at;
    }
    throw damaged();
  }

  private packed({ start, packedBytes }: Entry): Uint8Array {
    if (this.u32(start) !== LOCAL_SIGNATURE) throw damaged();
    const skipped = LOCAL_BYTES + this.u16(start + 26) + this.u16(start + 28);
    return this.slice(start + skipped, packedBytes);
  }

  private async inflate(packed: Uint8Array): Promise<Uint8Array> {
    const reader = pieces(packed).pipeThrough(new DecompressionStream('deflate-raw')).getReader();
    const parts: Uint8Array[] = [];
    try {
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        this.count(part.value.length);
        parts.push(part.value);
      }
    } catch (error) {
      await reader.cancel().catch(() => undefined);
      throw error instanceof Refused ? error : damaged();
    }
    return joined(parts);
  }

  private count(bytes: number): void {
    this.unpackedBytes += bytes;
    if (this.unpackedBytes > this.limitBytes) {
      throw new Refused({ reason: 'unpacksTooLarge', limitBytes: this.limitBytes });
    }
  }

  private slice(start: number, length: number): Uint8Array {
    if (start + length > this.bytes.length) throw damaged();
    return this.bytes.subarray(start, start + length);
  }

  private u16(at: number): number {
    if (at + 2 > this.bytes.length) throw damaged();
    return this.view.getUint16(at, true);
  }

  private u32(at: number): number {
    if (at + 4 > this.bytes.length) throw damaged();
    return this.view.getUint32(at, true);
  }
}

function damaged(): Refused {
  return new Refused({ reason: 'damaged', expected: 'zip' });
}

function pieces(bytes: Uint8Array): ReadableStream<Uint8Array<ArrayBuffer>> {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.slice(at, at + PIECE_BYTES));
      at += PIECE_BYTES;
    },
  });
}

function joined(parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
