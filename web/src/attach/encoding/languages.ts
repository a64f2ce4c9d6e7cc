/**
 * How surprising a text is in a language, in bits. A frequent character costs 6 to 11 bits, one of
 * the few thousand common ones about 14, and a rare one 20 or more. Bytes that are read in the
 * wrong encoding turn into characters without regard to their frequency, which costs about half as
 * much again, so that 20 characters are enough to tell encodings apart.
 *
 * Another language: its characters in `frequent.ts`, its row below, and its rows in `decode.ts`.
 */

import { JAPANESE, KOREAN, SIMPLIFIED_CHINESE, TRADITIONAL_CHINESE, WESTERN } from './frequent';

export interface Language {
  /** By character, the frequent and the common ones. */
  readonly bits: ReadonlyMap<string, number>;
  /** Whether words are separated by spaces and are mostly ASCII. */
  readonly isWestern: boolean;
}

export type LanguageName = 'simplified' | 'traditional' | 'japanese' | 'korean' | 'western';

/** Builds the tables, which takes a few milliseconds. */
export function languages(): Record<LanguageName, Language> {
  const gb2312 = decodeRows('gb18030', [0xb0, 0xd7], HIGH_TRAILS);
  const big5 = decodeRows('big5', [0xa4, 0xc6], [...LOW_TRAILS, ...HIGH_TRAILS]);
  const jis = decodeRows('euc-jp', [0xb0, 0xcf], HIGH_TRAILS);
  const ks = decodeRows('euc-kr', [0xb0, 0xc8], HIGH_TRAILS);
  const latin = String.fromCharCode(...range(0xc0, 0xff));
  return {
    simplified: language(SIMPLIFIED_CHINESE, gb2312, false),
    traditional: language(TRADITIONAL_CHINESE, big5, false),
    japanese: language(JAPANESE, jis, false),
    korean: language(KOREAN, ks, false),
    western: language(WESTERN, latin, true),
  };
}

export interface Cost {
  /** Bits of the whole text. */
  readonly all: number;
  /** Bits of the characters that are not ASCII. */
  readonly beyondAscii: number;
  /** How many characters are not ASCII. */
  readonly characters: number;
}

/** How many bits a text costs in a language. */
export function cost(text: string, { bits, isWestern }: Language): Cost {
  const step = isWestern ? westernStep : eastAsianStep;
  let [ascii, beyondAscii, characters] = [0, 0, 0];
  let previous = ' ';
  for (const character of text) {
    if (character < '\u0080') {
      ascii += ASCII_BITS + step(previous, character);
    } else {
      beyondAscii += (bits.get(character) ?? bitsOfOther(character)) + step(previous, character);
      characters += 1;
    }
    previous = character;
  }
  return { all: ascii + beyondAscii, beyondAscii, characters };
}

/** Of the characters beyond ASCII, this share is frequent, and this share common. */
const FREQUENT_SHARE = 0.75;
const COMMON_SHARE = 0.2;
/** Softens Zipf's law at the first ranks: no character makes up more than 1 % of the text. */
const FIRST_RANK = 20;

const ASCII_BITS = 6;
const HALF_WIDTH_KANA_BITS = 11;
const SYMBOL_BITS = 13;
const RARE_BITS = 20;
const NEVER_BITS = 30;

const LOW_TRAILS = range(0x40, 0x7e);
const HIGH_TRAILS = range(0xa1, 0xfe);

const SYMBOLS = /[\u00a0-\u00bf\u2000-\u2bff\u3000-\u303f\uff00-\uffef]/;
const NEVER = /[\p{Cc}\p{Co}\p{Cn}\p{Cf}]/u;

function language(frequent: string, common: string, isWestern: boolean): Language {
  const bits = new Map<string, number>();
  const commonBits = Math.log2(common.length / COMMON_SHARE);
  for (const character of common) bits.set(character, commonBits);
  const ranked = [...frequent];
  const weights = ranked.map((_, rank) => 1 / (rank + FIRST_RANK));
  const all = weights.reduce((sum, weight) => sum + weight);
  ranked.forEach((character, rank) => {
    bits.set(character, Math.log2(all / (weights[rank]! * FREQUENT_SHARE)));
  });
  return { bits, isWestern };
}

function bitsOfOther(character: string): number {
  if (character >= '\uff61' && character <= '\uff9f') return HALF_WIDTH_KANA_BITS;
  if (SYMBOLS.test(character)) return SYMBOL_BITS;
  return NEVER.test(character) ? NEVER_BITS : RARE_BITS;
}

/** Western text is mostly ASCII: other characters are rare, and two such letters in a row rarer. */
function westernStep(previous: string, character: string): number {
  if (character < '\u0080') return 0;
  return isWesternLetter(previous) && isWesternLetter(character) ? 10 : 3;
}

function isWesternLetter(character: string): boolean {
  return character >= '\u00c0' && character < '\u0180';
}

/** Words of ASCII stand between East Asian characters as a whole, not letter by letter. */
function eastAsianStep(previous: string, character: string): number {
  const isLetter = /[a-z]/i.test(character);
  const changes = isLetter
    ? previous >= '\u0080'
    : character >= '\u0080' && /[a-z]/i.test(previous);
  return changes ? 3 : 0;
}

/** All characters of a double-byte encoding in some rows. */
function decodeRows(encoding: string, rows: [number, number], trails: number[]): string {
  const codes = range(...rows).flatMap((lead) => trails.flatMap((trail) => [lead, trail]));
  return new TextDecoder(encoding).decode(Uint8Array.from(codes)).replaceAll('\ufffd', '');
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}
