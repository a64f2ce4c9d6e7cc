import { describe, expect, it } from 'vitest';
import { decode, type Encoding } from '../../src/attach/encoding/decode';
import { encode, join } from './encoders';
import { JAPANESE, KOREAN, SIMPLIFIED, TRADITIONAL, WESTERN } from './texts';

type Texts = Readonly<Record<string, string>>;

const MARK = '\ufeff';
const UNICODE: Encoding[] = ['utf-8', 'utf-16le', 'utf-16be'];

/** Decodes the text from its bytes, and expects it and the name of the encoding. */
function check(bytes: Uint8Array, encoding: Encoding, text: string): void {
  expect(decode(bytes)).toEqual({ text, encoding, endsWithinCharacter: false });
}

function recognises(name: string, texts: Texts, encodings: Encoding[]): void {
  describe(name, () => {
    for (const encoding of encodings) {
      for (const [kind, text] of Object.entries(texts)) {
        it(`${encoding}: ${kind}`, () => check(encode(text, encoding), encoding, text));
      }
    }
  });
}

recognises('simplified Chinese', SIMPLIFIED, ['gb18030', ...UNICODE]);
recognises('traditional Chinese', TRADITIONAL, ['big5', 'gb18030', ...UNICODE]);
recognises('Japanese', JAPANESE, ['shift_jis', 'euc-jp', ...UNICODE]);
recognises('Korean', KOREAN, ['euc-kr', ...UNICODE]);
recognises('Western', WESTERN, ['windows-1252', ...UNICODE]);

describe('byte order marks', () => {
  for (const encoding of UNICODE) {
    for (const text of [SIMPLIFIED.news!, KOREAN.news!, WESTERN.French!, 'plain', '']) {
      it(`${encoding}: ${text.slice(0, 8)}`, () => {
        check(encode(MARK + text, encoding), encoding, text);
      });
    }
  }
});

describe('ASCII', () => {
  for (const text of [
    'a',
    'hello\r\nworld\n',
    '{"a": [1, 2]}',
    'BM25 and MZ',
    '\x1b[31mred\x1b[0m\n',
  ]) {
    it(JSON.stringify(text), () => check(encode(text, 'utf-8'), 'utf-8', text));
  }
  it('in UTF-16 without a mark', () => {
    for (const encoding of ['utf-16le', 'utf-16be'] as const) {
      check(encode('id,name\r\n1,x\r\n', encoding), encoding, 'id,name\r\n1,x\r\n');
    }
  });
});

it('reads characters beyond the basic plane', () => {
  for (const encoding of ['utf-8', 'utf-16le', 'gb18030'] as const) {
    const text = '今天很开心😀，谢谢大家的帮助！';
    check(encode(text, encoding), encoding, text);
  }
});

it('recognises every piece of 20 characters of the Chinese texts', () => {
  const sets = [
    { encoding: 'gb18030', texts: SIMPLIFIED },
    { encoding: 'big5', texts: TRADITIONAL },
  ] as const;
  for (const { encoding, texts } of sets) {
    const all = Object.values(texts)
      .join('')
      .replace(/[\0-\x7f]/g, '');
    for (let start = 0; start + 20 <= all.length; start += 7) {
      const piece = all.slice(start, start + 20);
      check(encode(piece, encoding), encoding, piece);
    }
  }
});

it('decides long texts by their beginning, wherever that is', () => {
  const text = 'x = 1\n'.repeat(20_000) + SIMPLIFIED.news!.repeat(2000);
  check(encode(text, 'gb18030'), 'gb18030', text);
});

it('does not mind where the piece ends by which it decides', () => {
  for (const before of ['', '中']) {
    const text = before + '😀，你好。'.repeat(10_000);
    for (const encoding of ['utf-16le', 'gb18030'] as const) {
      check(encode(text, encoding), encoding, text);
    }
  }
});

describe('a file that is cut off within its last character', () => {
  const cases: [Encoding, string][] = [
    ['utf-8', SIMPLIFIED.news!],
    ['gb18030', SIMPLIFIED.news!],
    ['big5', TRADITIONAL.news!],
    ['shift_jis', JAPANESE.news!],
    ['euc-kr', KOREAN.news!.slice(0, -1)],
  ];
  for (const [encoding, text] of cases) {
    it(encoding, () => {
      const bytes = encode(text, encoding).subarray(0, -1);
      const whole = text.slice(0, -1);
      expect(decode(bytes)).toEqual({ text: whole, encoding, endsWithinCharacter: true });
    });
  }
});

it('says that UTF-16 with a mark is cut off', () => {
  const bytes = encode(`${MARK}会议纪要`, 'utf-16be').subarray(0, -1);
  const expected = { text: '会议纪', encoding: 'utf-16be', endsWithinCharacter: true };
  expect(decode(bytes)).toEqual(expected);
});

it('takes a last letter with an accent for that, not for half a character', () => {
  check(encode('un café', 'windows-1252'), 'windows-1252', 'un café');
});

describe('what is refused', () => {
  const CYRILLIC = 'Привет, как дела? Сегодня хорошая погода';
  const cyrillic = [...CYRILLIC].map((letter) => {
    const code = letter.charCodeAt(0);
    return code < 0x80 ? code : code - 0x410 + 0xc0;
  });
  const greek = [...'Καλημέρα, τι κάνετε; Ο καιρός είναι καλός'].map((letter) => {
    const code = letter.charCodeAt(0);
    return code < 0x80 ? code : code - 0x370 + 0xa0;
  });
  let seed = 1;
  const random = (): number => (seed = (seed * 48_271) % 0x7fffffff) >> 8;
  const noise = Uint8Array.from({ length: 4000 }, () => random() & 0xff);
  const high = Uint8Array.from({ length: 4000 }, () => 0xa1 + (random() % 0x5e));
  const broken = join(encode('前言', 'utf-8'), [0xff], encode(SIMPLIFIED.news!, 'utf-8'));
  const cases: [string, Uint8Array][] = [
    ['windows-1251', Uint8Array.from(cyrillic)],
    ['Greek in windows-1253', Uint8Array.from(greek)],
    ['random bytes', noise],
    ['random bytes without controls', high],
    ['NUL in ASCII', encode('a\0b', 'utf-8')],
    ['NUL in UTF-16', encode(`${MARK}a\0b`, 'utf-16le')],
    ['UTF-32', join([0xff, 0xfe, 0, 0], [0x41, 0, 0, 0])],
    ['control characters', encode('\x01\x02\x03 abc', 'utf-8')],
    ['UTF-8 with a wrong byte', broken],
    ['half of a surrogate pair', join([0xff, 0xfe], [0x00, 0xd8, 0x41, 0x00])],
  ];
  for (const [name, bytes] of cases) it(name, () => expect(decode(bytes)).toBeNull());
});
