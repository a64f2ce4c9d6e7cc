/**
 * Decodes a text file whose encoding nobody names.
 *
 *   byte order mark ──► that encoding, or nothing
 *   valid UTF-8 ──────► UTF-8, which no other text is by chance
 *   otherwise ────────► of the candidates that can be decoded, the one in whose language the text
 *                       is the least surprising (`languages.ts`), unless even that one surprises
 */

import { cost, languages, type LanguageName } from './languages';

export type Encoding =
  | 'utf-8'
  | 'utf-16le'
  | 'utf-16be'
  | 'gb18030'
  | 'big5'
  | 'shift_jis'
  | 'euc-jp'
  | 'euc-kr'
  | 'windows-1252';

export interface Decoded {
  /** Without byte order mark. */
  readonly text: string;
  /** `gb18030` includes GBK and GB2312, and `utf-8` includes ASCII. */
  readonly encoding: Encoding;
  /** Whether the file was cut off within a character; the text ends before that character. */
  readonly endsWithinCharacter: boolean;
}

/** Decodes a file; `null` if it is no text, or in no encoding that is recognised. */
export function decode(bytes: Uint8Array): Decoded | null {
  const marked = MARKS.find(({ mark }) => mark.every((byte, index) => bytes[index] === byte));
  if (marked !== undefined) return decodeAs(marked.encoding, bytes);
  const utf8 = bytes.includes(0) ? null : decodeAs('utf-8', bytes);
  if (utf8 !== null && !(utf8.endsWithinCharacter && isAscii(utf8.text))) return utf8;
  const encoding = recognise(bytes);
  return encoding === null ? null : decodeAs(encoding, bytes);
}

/**
 * Whether there are no more control characters than in text: none that is NUL, and few of those
 * that are not white space. Escape is exempt, because it colours the logs of programs.
 */
export function isText(text: string): boolean {
  if (text.includes('\0')) return false;
  const controls = text.match(CONTROLS)?.length ?? 0;
  return controls <= text.length * MOST_CONTROLS;
}

const MARKS: { mark: number[]; encoding: Encoding }[] = [
  { mark: [0xef, 0xbb, 0xbf], encoding: 'utf-8' },
  { mark: [0xff, 0xfe], encoding: 'utf-16le' },
  { mark: [0xfe, 0xff], encoding: 'utf-16be' },
  { mark: [0x84, 0x31, 0x95, 0x33], encoding: 'gb18030' },
];

/** In the order in which equals are preferred. */
const CANDIDATES: [Encoding, LanguageName][] = [
  ['gb18030', 'simplified'],
  ['big5', 'traditional'],
  ['shift_jis', 'japanese'],
  ['euc-kr', 'korean'],
  ['windows-1252', 'western'],
  ['euc-jp', 'japanese'],
  ['gb18030', 'traditional'],
  ['utf-16le', 'simplified'],
  ['utf-16be', 'simplified'],
  ['utf-16le', 'traditional'],
  ['utf-16be', 'traditional'],
  ['utf-16le', 'japanese'],
  ['utf-16be', 'japanese'],
  ['utf-16le', 'korean'],
  ['utf-16be', 'korean'],
  ['utf-16le', 'western'],
  ['utf-16be', 'western'],
];

const CONTROLS = /[\u0001-\u0008\u000b\u000e-\u001a\u001c-\u001f\u007f-\u0084\u0086-\u009f]/g;
const MOST_CONTROLS = 0.01;

/** Enough to decide beyond doubt; scoring it takes less than 0.1 s. */
const SAMPLE_BYTES = 32 * 1024;

/**
 * Bits for each character beyond ASCII, at most. Measured on 10 to 400 characters of programs'
 * messages: Chinese 8 to 13, Japanese and Korean 7 to 12, Western 8 to 12; but Russian, whose
 * encodings are not among the candidates, read as Western 13.4 and more, as Chinese 17 and more.
 * Lists of rare words reach 14 in Chinese.
 */
const MOST_BITS = { eastAsian: 15, western: 13 };
/** That a file ends within a character is as surprising as a rare character. */
const CUT_BITS = 20;

function recognise(bytes: Uint8Array): Encoding | null {
  const first = bytes.findIndex((byte) => byte >= 0x80 || byte === 0);
  if (first < 0) return null;
  // What precedes is the same in all encodings but UTF-16, whose units must stay whole.
  const start = first - (first % 2);
  const isWhole = bytes.length <= start + SAMPLE_BYTES;
  const sample = bytes.subarray(start, start + SAMPLE_BYTES);
  const known = languages();
  let best: { encoding: Encoding; bits: number; isPlausible: boolean } | null = null;
  for (const [encoding, name] of CANDIDATES) {
    const decoded = decodeAs(encoding, sample);
    if (decoded === null) continue;
    const isCut = isWhole && decoded.endsWithinCharacter;
    // Half a unit is no evidence of UTF-16: "a", NUL, "b" is not text.
    if (isCut && encoding.startsWith('utf-16')) continue;
    const { all, beyondAscii, characters } = cost(decoded.text, known[name]);
    const bits = all + (isCut ? CUT_BITS : 0);
    const most = name === 'western' ? MOST_BITS.western : MOST_BITS.eastAsian;
    const isPlausible = beyondAscii <= characters * most;
    if (best === null || bits < best.bits) best = { encoding, bits, isPlausible };
  }
  return best?.isPlausible ? best.encoding : null;
}

function decodeAs(encoding: Encoding, bytes: Uint8Array): Decoded | null {
  const decoder = new TextDecoder(encoding, { fatal: true });
  let decoded: string;
  try {
    decoded = decoder.decode(bytes, { stream: true });
  } catch {
    return null;
  }
  if (!isText(decoded)) return null;
  // The decoder leaves out one mark at most, and none of GB18030.
  const text = decoded.replace(/^\ufeff+/, '');
  try {
    // What the decoder has kept for the next piece is part of a character.
    decoder.decode();
    return { text, encoding, endsWithinCharacter: false };
  } catch {
    return { text, encoding, endsWithinCharacter: true };
  }
}

function isAscii(text: string): boolean {
  return !/[^\0-\x7f]/.test(text);
}
