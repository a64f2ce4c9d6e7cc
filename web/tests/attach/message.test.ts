import { describe, expect, it } from 'vitest';
import { cleanName } from '../../src/attach/file_name';
import { type AttachedText, splitAttachments, withAttachments } from '../../src/attach/message';

it('reads like what people write', () => {
  const files = [
    { name: 'a.py', text: 'print(1)' },
    { name: '说明.txt', text: '第一行\n第二行' },
  ];
  expect(withAttachments('What does this print?', files)).toBe(
    [
      'File: a.py\n```python\nprint(1)\n```',
      'File: 说明.txt\n```\n第一行\n第二行\n```',
      'What does this print?',
    ].join('\n\n'),
  );
});

it('leaves ordinary messages as they are', () => {
  for (const text of ['', 'hi', '\n\nhi', 'File: a.py', '```\ncode\n```', 'File: a\n```\nx']) {
    expect(withAttachments(text, [])).toBe(text);
    expect(splitAttachments(text)).toEqual({ text, attachments: [] });
  }
});

describe('round trip', () => {
  const block = withAttachments('', [{ name: 'a.md', text: 'x' }]);
  const texts = [
    '',
    'question',
    '\n',
    '\n\nquestion\n',
    block,
    `\n${block}`,
    `\n\n\n${block}\n\nmore`,
    `${block}\n`,
    `${block}\n\n`,
    `${block}\n\n${block}`,
    'File: ',
    '```',
  ];
  const contents = [
    '',
    '\n',
    'a',
    'a\n',
    '```\ncode\n```',
    '  ````x\n',
    '`'.repeat(50),
    `text\r${'`'.repeat(4)}\rtext`,
    block,
    `x\n\n${block}\n\ny`,
    '```\n\nFile: b.md\n```\n',
    '~~~\n```\n~~~',
    '\u202eevil\u2028\u2029\u0085',
  ];
  for (const text of texts) {
    it(JSON.stringify(text).slice(0, 60), () => {
      for (const content of contents) checkRoundTrip(text, [{ name: 'a.md', text: content }]);
      const all = contents.map((content, index) => ({ name: `${index}.py`, text: content }));
      checkRoundTrip(text, all);
      checkRoundTrip(text, []);
    });
  }
});

const HOSTILE_NAMES: [string, string][] = [
  ['a.txt', 'a.txt'],
  ['', 'file'],
  ['\0\u200b\n', 'file'],
  ['two\nlines.txt', 'two lines.txt'],
  ['a\r\n```\nb', 'a ``` b'],
  ['`code`.md', '`code`.md'],
  ['```', '```'],
  ['invoice\u202efdp.exe', 'invoicefdp.exe'],
  ['\u2066x\u2069\u200f.txt', 'x.txt'],
  ['half\ud800.txt', 'half.txt'],
  ['  many   spaces\u3000.txt  ', 'many spaces .txt'],
  ['报告（最终版）😀.docx', '报告（最终版）😀.docx'],
  ['עברית.txt', 'עברית.txt'],
  ['File: x', 'File: x'],
  ['../../etc/passwd', '../../etc/passwd'],
  [`${'a'.repeat(300)}.txt`, `${'a'.repeat(95)}…${'a'.repeat(20)}.txt`],
];

describe('hostile names', () => {
  for (const [name, clean] of HOSTILE_NAMES) {
    it(JSON.stringify(name).slice(0, 40), () => {
      expect(cleanName(name)).toBe(clean);
      expect(cleanName(clean)).toBe(clean);
      checkRoundTrip('text', [{ name, text: 'x' }]);
    });
  }
});

it('writes a fence that no line of the file closes', () => {
  for (let count = 0; count < 8; count += 1) {
    const ticks = '`'.repeat(count);
    const message = withAttachments('', [{ name: 'a', text: `x\n  ${ticks}\ny` }]);
    const fence = message.split('\n')[1]!;
    expect(fence.length).toBe(Math.max(3, count >= 3 ? count + 1 : 3));
  }
});

it('is exact both ways for random texts made of what could confuse it', () => {
  const random = generator(7);
  const pieces = [
    'File: a.py\n', 'File: ', '```', '````', '```python\n', '\n', '\n\n', '\n```', '\n```\n', ' ', 'x',
    '`', '~~~', '\r', '\t', '\u202e', '\0', '中', '😀', 'print(1)', 'File: b\n```\ny\n```', 'a.py',
  ]; // prettier-ignore
  const text = (most: number): string =>
    Array.from({ length: random(most) }, () => pieces[random(pieces.length)]).join('');
  for (let round = 0; round < 20_000; round += 1) {
    const files = Array.from({ length: random(4) }, () => ({ name: text(4), text: text(10) }));
    checkRoundTrip(text(10), files);
    const message = text(14);
    const { text: rest, attachments } = splitAttachments(message);
    expect(withAttachments(rest, attachments), JSON.stringify(message)).toBe(message);
  }
});

it('takes time in proportion to the length of a hostile message', () => {
  const parts = [
    `File: a\n\`\`\`\n${'\n```x'.repeat(200_000)}`,
    `${'File: a\n```\n'.repeat(100_000)}`,
    `File: a\n${'`'.repeat(1_000_000)}`,
    '\n'.repeat(1_000_000),
    `File: a\n\`\`\`\n${' '.repeat(1_000_000)}`,
  ];
  for (const part of parts) checkRoundTrip(part, [{ name: 'a', text: part }]);
});

function checkRoundTrip(text: string, files: AttachedText[]): void {
  const attachments = files.map((file) => ({ ...file, name: cleanName(file.name) }));
  const message = withAttachments(text, files);
  const found = splitAttachments(message);
  const isExact = found.text === text && isEqual(found.attachments, attachments);
  // Comparing first: `toEqual` is slow, and there are many cases.
  if (!isExact) expect(found, JSON.stringify(message)).toEqual({ text, attachments });
}

function isEqual(left: AttachedText[], right: AttachedText[]): boolean {
  if (left.length !== right.length) return false;
  return left.every(({ name, text }, at) => name === right[at]!.name && text === right[at]!.text);
}

/** Whole numbers below a limit, the same ones in each run. */
function generator(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state * 48_271) % 0x7fffffff;
    return Math.floor((state / 0x7fffffff) * limit);
  };
}
