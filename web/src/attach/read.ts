/**
 * Turns a file into text for the model.
 *
 *   first bytes ──► a kind that is no text ──► refused with that kind
 *               ├─► zip ─────► `office/`, loaded when first needed
 *               └─► else ────► `encoding/decode.ts`
 *
 * Text of PDF files is not read. What a browser can run under our content security policy is either
 * too large (pdf.js 6.5: 1.7 MB, 424 kB compressed) or reads ordinary Chinese files as nonsense
 * (LibPDF 0.4).
 *
 * Another kind of document: its reader beside `office/`, its signature in `signature.ts`, its case
 * in `readBytes`, and its words in the dictionaries.
 */

import {
  type Attachment,
  type Limits,
  type NamedBlob,
  type Reason,
  Refused,
  type Refusal,
  type TextSource,
} from './attachment';
import { decode, isText } from './encoding/decode';
import { cleanName, extensionOf } from './file_name';
import { HEAD_BYTES, signatureOf } from './signature';

/** What is read beyond this hardly fits into a context, or is an Office file full of pictures. */
export const DEFAULT_LIMITS: Limits = {
  fileBytes: 32 * 1024 * 1024,
  textBytes: 512 * 1024,
  unpackedBytes: 64 * 1024 * 1024,
};

/**
 * Reads a file; every fault of the file is a refusal. Rejects only if the chunk for Office files
 * cannot be loaded, as when the server is gone.
 */
export async function readAttachment(
  file: NamedBlob,
  limits: Limits = DEFAULT_LIMITS,
): Promise<Attachment | Refusal> {
  const name = cleanName(file.name);
  try {
    const read = await readFile(file, limits);
    const text = read.text.replace(/\r\n?/g, '\n');
    if (text.trim() === '') throw new Refused(emptiness(read.source));
    if (bytesOf(text) > limits.textBytes) {
      throw new Refused({ reason: 'tooMuchText', limitBytes: limits.textBytes });
    }
    return { kind: 'read', name, ...read, text };
  } catch (error) {
    if (error instanceof Refused) return { kind: 'refused', name, ...error.reason };
    throw error;
  }
}

type Read = Pick<Attachment, 'text' | 'source' | 'endsWithinCharacter'>;

async function readFile(file: NamedBlob, limits: Limits): Promise<Read> {
  if (file.size === 0) throw new Refused({ reason: 'empty' });
  const signature = signatureOf(await load(file.slice(0, HEAD_BYTES)));
  if (signature === 'oldOffice' && /^(docx|xlsx|pptx)$/.test(extensionOf(file.name))) {
    // With a password, Office wraps the new formats into the old one.
    throw new Refused({ reason: 'locked' });
  }
  if (signature !== null && signature !== 'zip') {
    throw new Refused({ reason: 'notText', found: signature });
  }
  if (file.size > limits.fileBytes) {
    throw new Refused({ reason: 'tooLarge', bytes: file.size, limitBytes: limits.fileBytes });
  }
  const bytes = await load(file);
  if (signature !== 'zip') return readText(bytes);
  const { readOffice } = await import('./office/office');
  return { ...(await readOffice(bytes, limits)), endsWithinCharacter: false };
}

async function load(blob: Blob): Promise<Uint8Array> {
  try {
    return new Uint8Array(await blob.arrayBuffer());
  } catch (error) {
    const name = error instanceof Error ? error.name : 'Error';
    throw new Refused({ reason: 'unreadable', error: name });
  }
}

function readText(bytes: Uint8Array): Read {
  const decoded = decode(bytes);
  if (decoded === null) throw new Refused(unreadableText(bytes));
  const { text, encoding, endsWithinCharacter } = decoded;
  return { text, source: { kind: 'text', encoding }, endsWithinCharacter };
}

/** Whether bytes that nothing decodes are a text at all. */
function unreadableText(bytes: Uint8Array): Reason {
  const latin = new TextDecoder('latin1').decode(bytes.subarray(0, HEAD_BYTES));
  const ascii = latin.replace(/[^\0-\x7f]/g, '');
  return isText(ascii) ? { reason: 'unknownEncoding' } : { reason: 'notText', found: 'unknown' };
}

function emptiness(source: TextSource): Reason {
  return source.kind === 'text' ? { reason: 'empty' } : { reason: 'noText', found: source.kind };
}

/** Of the text in UTF-8, which is what the server's limits count. */
function bytesOf(text: string): number {
  return new TextEncoder().encode(text).length;
}
