/** Recognises common kinds of files that are not text by their first bytes. */

import type { FileKind } from './attachment';
import { isText } from './encoding/decode';

/** How many bytes of a file {@link signatureOf} looks at. */
export const HEAD_BYTES = 4096;

/** `zip` stands for an archive or a document: only its content tells. */
export type Signature = FileKind | 'zip';

/** The kind that a file's first bytes show; `null` if they could begin a text. */
export function signatureOf(head: Uint8Array): Signature | null {
  const text = String.fromCharCode(...head.subarray(0, HEAD_BYTES));
  if (ALWAYS_SIGNED.some((mark) => text.startsWith(mark))) return find(text);
  // "BM25 is a ranking function" is no bitmap: a word counts only before bytes that are no text.
  // Bytes above 0x7f are letters in some encoding.
  return isText(text.replace(/[^\0-\x7f]/g, '')) ? null : find(text);
}

type Row = [kind: Signature, offset: number, mark: string];

/** What begins like this is never a text, even if it has no control character so far. */
const ALWAYS_SIGNED = ['%PDF-', '{\\rtf', 'PK\x03\x04'];

const ROWS: Row[] = [
  ['pdf', 0, '%PDF-'],
  ['richText', 0, '{\\rtf'],
  ['zip', 0, 'PK\x03\x04'],
  // An empty one, and one in several volumes.
  ['archive', 0, 'PK\x05\x06'],
  ['archive', 0, 'PK\x07\x08'],
  ['archive', 0, 'Rar!\x1a\x07'],
  ['archive', 0, '7z\xbc\xaf\x27\x1c'],
  ['archive', 0, '\x1f\x8b'],
  ['archive', 0, 'BZh'],
  ['archive', 0, '\xfd7zXZ'],
  ['archive', 0, '\x28\xb5\x2f\xfd'],
  ['archive', 0, '\x04\x22\x4d\x18'],
  ['archive', 0, 'MSCF'],
  ['archive', 257, 'ustar'],
  ['oldOffice', 0, '\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1'],
  ['image', 0, '\x89PNG'],
  ['image', 0, '\xff\xd8\xff'],
  ['image', 0, 'GIF8'],
  ['image', 0, 'BM'],
  ['image', 0, 'II*\0'],
  ['image', 0, 'MM\0*'],
  ['image', 0, '\0\0\x01\0'],
  ['image', 0, '8BPS'],
  ['image', 0, '\xff\x0a'],
  ['image', 8, 'WEBP'],
  ['image', 4, 'ftypheic'],
  ['image', 4, 'ftypheix'],
  ['image', 4, 'ftypmif1'],
  ['image', 4, 'ftypavif'],
  ['sound', 4, 'ftypM4A'],
  ['video', 4, 'ftyp'],
  ['video', 0, '\x1a\x45\xdf\xa3'],
  ['video', 0, 'FLV\x01'],
  ['video', 0, '\0\0\x01\xba'],
  ['video', 8, 'AVI '],
  ['video', 0, '\x30\x26\xb2\x75\x8e\x66\xcf\x11'],
  ['sound', 8, 'WAVE'],
  ['sound', 0, 'ID3'],
  ['sound', 0, '\xff\xfb'],
  ['sound', 0, '\xff\xf3'],
  ['sound', 0, '\xff\xf2'],
  ['sound', 0, '\xff\xf1'],
  ['sound', 0, 'OggS'],
  ['sound', 0, 'fLaC'],
  ['sound', 0, 'MThd'],
  ['sound', 0, '#!AMR'],
  ['sound', 0, '\x02#!SILK'],
  ['program', 0, '\x7fELF'],
  ['program', 0, 'MZ'],
  ['program', 0, '\0asm'],
  ['program', 0, 'dex\n'],
  // Mach-O in both orders and sizes, and for several processors; also a Java class.
  ['program', 0, '\xce\xfa\xed\xfe'],
  ['program', 0, '\xcf\xfa\xed\xfe'],
  ['program', 0, '\xfe\xed\xfa\xce'],
  ['program', 0, '\xfe\xed\xfa\xcf'],
  ['program', 0, '\xca\xfe\xba\xbe'],
  ['font', 0, 'wOFF'],
  ['font', 0, 'wOF2'],
  ['font', 0, 'OTTO'],
  ['font', 0, 'ttcf'],
  ['font', 0, '\0\x01\0\0'],
  ['database', 0, 'SQLite format 3\0'],
];

function find(text: string): Signature | null {
  return ROWS.find(([, offset, mark]) => text.startsWith(mark, offset))?.[0] ?? null;
}
