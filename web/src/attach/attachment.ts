/** What an attached file becomes: text for the model, or a refusal with its reason. */

import type { Encoding } from './encoding/decode';

/** A file that people chose, dropped or pasted. */
export type NamedBlob = Blob & { readonly name: string };

export interface Limits {
  /** Larger files are refused before they are read. */
  readonly fileBytes: number;
  /** Files with more text than this, counted in UTF-8, are refused. */
  readonly textBytes: number;
  /** Reading an Office file ends with a refusal once its parts have unpacked to this much. */
  readonly unpackedBytes: number;
}

export interface Attachment {
  readonly kind: 'read';
  /** As {@link cleanName} leaves it. */
  readonly name: string;
  /** Lines end with `\n`; no byte order mark and no NUL is left. */
  readonly text: string;
  readonly source: TextSource;
  /** Whether the file was cut off within its last character, which is left out. */
  readonly endsWithinCharacter: boolean;
}

export type TextSource =
  { readonly kind: 'text'; readonly encoding: Encoding } | { readonly kind: OfficeKind };

export type OfficeKind = 'word' | 'sheet' | 'slides';

/** What a file is, as far as its first bytes tell. */
export type FileKind =
  | 'archive'
  | 'database'
  | 'font'
  | 'image'
  /** Office before 2007: .doc, .xls, .ppt. */
  | 'oldOffice'
  /** A document in a zip that is not Microsoft's, such as .odt and .epub. */
  | 'otherDocument'
  | 'pdf'
  | 'program'
  | 'richText'
  | 'sound'
  /** Something that is not text. */
  | 'unknown'
  | 'video';

export type Reason =
  /** Nothing is in the file, or only white space. */
  | { readonly reason: 'empty' }
  | { readonly reason: 'folder' }
  /** `error` is the browser's name of it: `NotFoundError` also for a file that is gone. */
  | { readonly reason: 'unreadable'; readonly error: string }
  | { readonly reason: 'tooLarge'; readonly bytes: number; readonly limitBytes: number }
  | { readonly reason: 'tooMuchText'; readonly limitBytes: number }
  /** A small file that unpacks to a very large one. */
  | { readonly reason: 'unpacksTooLarge'; readonly limitBytes: number }
  | { readonly reason: 'notText'; readonly found: FileKind }
  | { readonly reason: 'unknownEncoding' }
  | { readonly reason: 'damaged'; readonly expected: OfficeKind | 'zip' }
  /** Only a password opens it. */
  | { readonly reason: 'locked' }
  /** The file is fine, but there is no text in it. */
  | { readonly reason: 'noText'; readonly found: OfficeKind };

export type Refusal = { readonly kind: 'refused'; readonly name: string } & Reason;

/** Stops a reader at once; `readAttachment` turns it into a refusal. */
export class Refused extends Error {
  constructor(readonly reason: Reason) {
    super(reason.reason);
  }
}
