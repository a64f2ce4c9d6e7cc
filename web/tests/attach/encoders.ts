/** Encoders for what only `TextDecoder` knows: its tables, read backwards. */

import type { Encoding } from '../../src/attach/encoding/decode';

type Table = ReadonlyMap<string, number[]>;

const tables = new Map<Encoding, Table>();

/** The bytes of a text; throws if the encoding lacks one of its characters. */
export function encode(text: string, encoding: Encoding): Uint8Array {
  if (encoding === 'utf-8') return new TextEncoder().encode(text);
  if (encoding === 'utf-16le' || encoding === 'utf-16be') return utf16(text, encoding);
  const table = tableOf(encoding);
  const bytes = [...text].flatMap((character) => {
    const found = table.get(character) ?? (encoding === 'gb18030' ? fourBytes(character) : null);
    if (found === null) throw new Error(`${encoding} has no ${character}`);
    return found;
  });
  return Uint8Array.from(bytes);
}

export function join(...parts: (Uint8Array | number[])[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function utf16(text: string, encoding: 'utf-16le' | 'utf-16be'): Uint8Array {
  const bytes = new Uint8Array(text.length * 2);
  const view = new DataView(bytes.buffer);
  for (let index = 0; index < text.length; index += 1) {
    view.setUint16(index * 2, text.charCodeAt(index), encoding === 'utf-16le');
  }
  return bytes;
}

function tableOf(encoding: Encoding): Table {
  const known = tables.get(encoding);
  if (known !== undefined) return known;
  const table = new Map<string, number[]>();
  for (let lead = 0; lead < 0x100; lead += 1) {
    add(table, encoding, [lead]);
    if (encoding === 'windows-1252' || lead < 0x81) continue;
    for (let trail = 0x40; trail < 0xff; trail += 1) add(table, encoding, [lead, trail]);
  }
  tables.set(encoding, table);
  return table;
}

/** Node before 23 takes windows-1252 for Latin-1: the test texts do without the difference. */
function add(table: Map<string, number[]>, encoding: Encoding, bytes: number[]): void {
  let text: string;
  try {
    text = new TextDecoder(encoding, { fatal: true }).decode(Uint8Array.from(bytes));
  } catch {
    return;
  }
  if ([...text].length === 1 && !table.has(text)) table.set(text, bytes);
}

/** Beyond the basic plane GB18030 counts through. */
function fourBytes(character: string): number[] | null {
  const code = character.codePointAt(0)!;
  if (code < 0x10000) return null;
  const index = code - 0x10000 + 189_000;
  return [
    0x81 + Math.floor(index / 12_600),
    0x30 + (Math.floor(index / 1260) % 10),
    0x81 + (Math.floor(index / 10) % 126),
    0x30 + (index % 10),
  ];
}
