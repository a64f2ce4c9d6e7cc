import { describe, expect, it } from 'vitest';
import { droppedFiles } from '../../src/attach/dropped';
import type { FileKind, Limits, NamedBlob, Reason } from '../../src/attach/attachment';
import { readAttachment } from '../../src/attach/read';
import { encode, join } from './encoders';
import { sheetOf, wordOf, zipOf } from './office_files';
import { JAPANESE, SIMPLIFIED, TRADITIONAL } from './texts';

const LIMITS: Limits = { fileBytes: 100_000, textBytes: 10_000, unpackedBytes: 100_000 };

type Content = Uint8Array | string | number[];

function file(name: string, content: Content): File {
  const bytes = typeof content === 'string' ? encode(content, 'utf-8') : Uint8Array.from(content);
  return new File([bytes as Uint8Array<ArrayBuffer>], name);
}

async function textOf(content: Content): Promise<string> {
  const result = await readAttachment(file('a.txt', content), LIMITS);
  if (result.kind !== 'read') throw new Error(result.reason);
  return result.text;
}

async function refuses(name: string, content: Content, reason: Reason): Promise<void> {
  const result = await readAttachment(file(name, content), LIMITS);
  expect(result).toEqual({ kind: 'refused', name, ...reason });
}

describe('text', () => {
  it('comes with its name, its encoding and whether it was cut off', async () => {
    const bytes = encode(SIMPLIFIED.news!, 'gb18030').subarray(0, -1);
    expect(await readAttachment(file('新闻\n.txt', bytes), LIMITS)).toEqual({
      kind: 'read',
      name: '新闻 .txt',
      text: SIMPLIFIED.news!.slice(0, -1),
      source: { kind: 'text', encoding: 'gb18030' },
      endsWithinCharacter: true,
    });
  });

  it('has one kind of line end, and no byte order mark', async () => {
    expect(await textOf('\ufeff\ufeffa\r\nb\rc\n\r\nd')).toBe('a\nb\nc\n\nd');
    expect(await textOf(encode('\ufeffa\r\nb', 'utf-16le'))).toBe('a\nb');
    expect(await textOf([0x84, 0x31, 0x95, 0x33, 0xc4, 0xe3])).toBe('你');
  });

  it('may begin like a kind of file', async () => {
    const beginnings = [
      'BM25 ranks',
      'MZ is',
      'GIF89a is',
      'ID3 tags',
      'RIFF',
      'Rar!',
      'OggS',
      'BZh',
    ];
    for (const text of beginnings) expect(await textOf(text)).toBe(text);
    const japanese = `BM25: ${JAPANESE.news}`;
    expect(await textOf(encode(japanese, 'shift_jis'))).toBe(japanese);
    const chinese = `MZ ${TRADITIONAL.news}`;
    expect(await textOf(encode(chinese, 'big5'))).toBe(chinese);
  });

  it('may be coloured, or contain few control characters', async () => {
    expect(await textOf('\x1b[31merror\x1b[0m\n')).toBe('\x1b[31merror\x1b[0m\n');
    const text = `${'line\n'.repeat(100)}\x1a`;
    expect(await textOf(text)).toBe(text);
  });

  it('is read from a blob with a name, as a pasted one is', async () => {
    const blob: NamedBlob = Object.assign(new Blob(['x']), { name: 'pasted.txt' });
    expect(await readAttachment(blob)).toMatchObject({ kind: 'read', text: 'x' });
  });
});

describe('Office files', () => {
  it('are known by their content, whatever their name', async () => {
    const word = wordOf('<w:p><w:r><w:t>a</w:t></w:r></w:p>');
    const sheet = sheetOf('<row><c><v>1</v></c></row>');
    for (const [content, kind] of [[word, 'word'], [sheet, 'sheet']] as const) {
      const result = await readAttachment(file('a.txt', content), LIMITS);
      expect(result).toMatchObject({ kind: 'read', source: { kind }, endsWithinCharacter: false });
    } // prettier-ignore
  });

  it('without text are refused', () =>
    refuses('a.docx', wordOf(''), { reason: 'noText', found: 'word' }));

  it('that a password protects are refused', async () => {
    const old = [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1, 0, 0];
    await refuses('a.docx', old, { reason: 'locked' });
    await refuses('a.doc', old, { reason: 'notText', found: 'oldOffice' });
  });
});

const BEGINNINGS: [FileKind, Content][] = [
  ['pdf', '%PDF-1.7\n%text only'],
  ['pdf', [...encode('%PDF-1.4\n%', 'utf-8'), 0xe2, 0xe3, 0xcf, 0xd3, 0]],
  ['richText', '{\\rtf1\\ansi text}'],
  ['archive', zipOf([{ name: 'a', content: 'x' }])],
  ['archive', zipOf([])],
  ['archive', [0x1f, 0x8b, 8, 0, 0, 0, 0, 0]],
  ['archive', [0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c, 0, 4]],
  ['archive', [...encode('Rar!\x1a\x07\x01\0', 'utf-8')]],
  ['archive', [...encode('a.txt', 'utf-8'), ...new Array<number>(252).fill(0), ...encode('ustar\0', 'utf-8')]],
  ['image', [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0]],
  ['image', [0xff, 0xd8, 0xff, 0xe0, 0, 0x10]],
  ['image', [...encode('GIF89a', 'utf-8'), 1, 0, 1, 0]],
  ['image', [...encode('BM', 'utf-8'), 0x36, 0, 0, 0]],
  ['image', [...encode('RIFF', 'utf-8'), 0, 1, 0, 0, ...encode('WEBPVP8 ', 'utf-8')]],
  ['image', [0, 0, 0, 0x18, ...encode('ftypheic', 'utf-8')]],
  ['sound', [...encode('ID3', 'utf-8'), 3, 0, 0, 0, 0]],
  ['sound', [0xff, 0xfb, 0x90, 0x64, 0, 0]],
  ['sound', [...encode('RIFF', 'utf-8'), 0, 1, 0, 0, ...encode('WAVEfmt ', 'utf-8')]],
  ['sound', [0, 0, 0, 0x18, ...encode('ftypM4A ', 'utf-8')]],
  ['video', [0, 0, 0, 0x18, ...encode('ftypmp42', 'utf-8')]],
  ['video', [0x1a, 0x45, 0xdf, 0xa3, 1, 0]],
  ['video', [...encode('RIFF', 'utf-8'), 0, 1, 0, 0, ...encode('AVI LIST', 'utf-8')]],
  ['program', [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0]],
  ['program', [...encode('MZ', 'utf-8'), 0x90, 0, 3, 0, 0, 0]],
  ['program', [0xcf, 0xfa, 0xed, 0xfe, 7, 0, 0, 1]],
  ['program', [0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 0x41]],
  ['font', [...encode('wOF2', 'utf-8'), 0, 1, 0, 0]],
  ['database', 'SQLite format 3\0'],
  ['unknown', [1, 2, 3, 4, 0, 0, 0xff, 0xfe]],
  ['unknown', 'text with a NUL\0 in it'],
]; // prettier-ignore

describe('files that are no text are refused with their kind', () => {
  for (const [index, [found, content]] of BEGINNINGS.entries()) {
    it(`${index}: ${found}`, () => refuses('x', content, { reason: 'notText', found }));
  }
});

describe('other refusals', () => {
  it('empty files', async () => {
    await refuses('a.txt', '', { reason: 'empty' });
    await refuses('a.txt', ' \r\n\t\u3000', { reason: 'empty' });
    await refuses('a.txt', '\ufeff', { reason: 'empty' });
  });

  it('files over the limit, which are not read as a whole', async () => {
    const limits = { reason: 'tooLarge', bytes: 100_001, limitBytes: 100_000 } as const;
    await refuses('a.txt', 'x'.repeat(100_001), limits);
    const video = join([0, 0, 0, 0x18], encode('ftypmp42', 'utf-8'), new Array(100_000).fill(0));
    await refuses('a.mp4', video, { reason: 'notText', found: 'video' });
  });

  it('more text than the limit, counted in UTF-8', async () => {
    const reason = { reason: 'tooMuchText', limitBytes: 10_000 } as const;
    await refuses('a.txt', 'x'.repeat(10_001), reason);
    await refuses('a.txt', encode('的'.repeat(3334), 'gb18030'), reason);
    expect(await textOf('x'.repeat(10_000))).toHaveLength(10_000);
    expect(await textOf(encode('的是一在不'.repeat(666), 'gb18030'))).toHaveLength(3330);
  });

  it('encodings that nobody recognises', async () => {
    const cyrillic = [0xcf, 0xf0, 0xe8, 0xe2, 0xe5, 0xf2, 0x2c, 0x20, 0xea, 0xe0, 0xea];
    await refuses('a.txt', cyrillic, { reason: 'unknownEncoding' });
  });

  it('files that cannot be read', async () => {
    const gone = Object.assign(new Blob(['x']), {
      name: 'gone.txt',
      slice: () => ({ arrayBuffer: () => Promise.reject(new DOMException('', 'NotFoundError')) }),
    }) as unknown as NamedBlob;
    expect(await readAttachment(gone, LIMITS)).toEqual({
      kind: 'refused',
      name: 'gone.txt',
      reason: 'unreadable',
      error: 'NotFoundError',
    });
  });
});

it('tells folders from files when they are dropped', () => {
  const item = (kind: string, entry: object | null, dropped: File | null): object => ({
    kind,
    webkitGetAsEntry: () => entry,
    getAsFile: () => dropped,
  });
  const text = file('a.txt', 'x');
  const items = [
    item('string', null, null),
    item('file', { isDirectory: false, name: 'a.txt' }, text),
    item('file', { isDirectory: true, name: 'photos' }, file('photos', '')),
    item('file', null, text),
  ];
  expect(droppedFiles({ items } as unknown as DataTransfer)).toEqual({
    files: [text, text],
    refused: [{ kind: 'refused', name: 'photos', reason: 'folder' }],
  });
});
