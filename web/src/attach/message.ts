/**
 * Attached files within a message's text. The model reads them as people would write them, and the
 * page finds them again in a stored message:
 *
 *   File: report.py          the name, as `cleanName` leaves it
 *   ```python                longer than any fence in the file
 *   print(1)
 *   ```
 *                            an empty line after each file
 *   What does this print?    the message
 *
 * Both directions are exact. A message that itself begins like a file gets an empty line before it,
 * which is taken away again; so does one that begins with empty lines and then like a file.
 */

import { cleanName } from './file_name';
import { fenceLanguage } from './fence_language';

export interface AttachedText {
  readonly name: string;
  readonly text: string;
}

export interface SplitMessage {
  readonly text: string;
  readonly attachments: AttachedText[];
}

/** A message's text with its files before it. */
export function withAttachments(text: string, attachments: readonly AttachedText[]): string {
  return behindFiles(writeFiles(attachments), text);
}

/** The files alone. */
export function writeFiles(attachments: readonly AttachedText[]): string {
  const files = attachments.map(({ name, text }) => writeFile({ name: cleanName(name), text }));
  return files.join(GAP);
}

/** A message's text behind files that are written already. */
export function behindFiles(files: string, text: string): string {
  const rest = beginsLikeFile(text) ? `\n${text}` : text;
  return files === '' || rest === '' ? files + rest : files + GAP + rest;
}

/** The inverse of {@link withAttachments}. */
export function splitAttachments(message: string): SplitMessage {
  const attachments: AttachedText[] = [];
  let start = 0;
  for (let file = fileAt(message, 0); file !== null; file = fileAt(message, start)) {
    attachments.push({ name: file.name, text: file.text });
    start = file.next;
  }
  const rest = message.slice(start);
  const isShifted = rest.startsWith('\n') && beginsLikeFile(rest);
  return { text: isShifted ? rest.slice(1) : rest, attachments };
}

const GAP = '\n\n';
const HEADER = /File: ([^\n]+)\n(`{3,})([a-z]*)\n/y;

function writeFile({ name, text }: AttachedText): string {
  const fence = fenceFor(text);
  return `File: ${name}\n${fence}${fenceLanguage(name)}\n${text}\n${fence}`;
}

/** Longer than every fence in the text, also than indented ones. */
function fenceFor(text: string): string {
  let longest = 2;
  for (const [, ticks] of text.matchAll(/(?:^|[\n\r])[ \t]*(`{3,})/g)) {
    longest = Math.max(longest, ticks!.length);
  }
  return '`'.repeat(longest + 1);
}

function beginsLikeFile(text: string): boolean {
  const [emptyLines] = /^\n*/.exec(text)!;
  return fileAt(text, emptyLines.length) !== null;
}

/**
 * The file that is written at a place, and where the text after it begins. What `writeFile` would
 * write differently is no file, so that splitting and joining a message changes nothing in it.
 */
function fileAt(message: string, start: number): (AttachedText & { next: number }) | null {
  HEADER.lastIndex = start;
  const header = HEADER.exec(message);
  if (header === null) return null;
  const [, name, fence] = header;
  const textStart = HEADER.lastIndex;
  const textEnd = endOfText(message, textStart, fence!);
  if (textEnd === null) return null;
  const end = textEnd + 1 + fence!.length;
  const file = { name: name!, text: message.slice(textStart, textEnd) };
  if (cleanName(file.name) !== file.name) return null;
  if (writeFile(file) !== message.slice(start, end)) return null;
  return { ...file, next: end === message.length ? end : end + GAP.length };
}

/**
 * Where the first line is that closes the fence, if nothing or an empty line and text follow it.
 */
function endOfText(message: string, textStart: number, fence: string): number | null {
  const end = message.indexOf(`\n${fence}`, textStart);
  if (end < 0) return null;
  const after = end + 1 + fence.length;
  const isLast = after === message.length;
  const isFollowed = message.startsWith(GAP, after) && after + GAP.length < message.length;
  return isLast || isFollowed ? end : null;
}
