/**
 * Reads XML as a series of events, without building a tree: an Office file's parts may be large. It
 * knows what those contain, which is no document type declarations, so no entity can multiply.
 * Anything else is `Malformed`.
 */

export type XmlEvent =
  | { kind: 'open'; name: string; attributes: ReadonlyMap<string, string> }
  | { kind: 'close'; name: string }
  | { kind: 'text'; text: string };

export class Malformed extends Error {}

/** Deeper elements are an attack. */
const MOST_LEVELS = 500;

const OPEN = /<([^\s/>!?=]+)((?:\s+[^\s=/>]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)>/y;
const CLOSE = /<\/([^\s>]+)\s*>/y;
const ATTRIBUTE = /([^\s=]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/g;
const NAMED: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
};

/**
 * The events of a part in UTF-8. Names come without their namespace's prefix, except that of the
 * second of two attributes that differ in it only.
 */
export function* xmlEvents(bytes: Uint8Array): Generator<XmlEvent> {
  const source = decodePart(bytes);
  const open: string[] = [];
  let at = 0;
  let hasRoot = false;
  while (at < source.length) {
    const next = source.indexOf('<', at);
    const end = next < 0 ? source.length : next;
    const text = source.slice(at, end);
    if (open.length > 0) yield { kind: 'text', text: unescape(text) };
    else if (text.trim() !== '') throw new Malformed();
    if (next < 0) break;
    const skipped = endOfSkipped(source, end);
    if (skipped !== null) {
      at = skipped;
    } else if (source.startsWith('<![CDATA[', end)) {
      at = source.indexOf(']]>', end) + 3;
      if (at < end || open.length === 0) throw new Malformed();
      yield { kind: 'text', text: source.slice(end + 9, at - 3) };
    } else if (source.startsWith('</', end)) {
      const [whole, name] = match(CLOSE, source, end);
      if (open.pop() !== name) throw new Malformed();
      yield { kind: 'close', name: localName(name!) };
      at = end + whole.length;
    } else {
      const [whole, name, attributes, isEmpty] = match(OPEN, source, end);
      if (open.length >= MOST_LEVELS || (open.length === 0 && hasRoot)) throw new Malformed();
      hasRoot = true;
      yield { kind: 'open', name: localName(name!), attributes: readAttributes(attributes!) };
      if (isEmpty === '/') yield { kind: 'close', name: localName(name!) };
      else open.push(name!);
      at = end + whole.length;
    }
  }
  if (open.length > 0 || !hasRoot) throw new Malformed();
}

/** Where a comment or a processing instruction ends; `null` if there is none at this place. */
function endOfSkipped(source: string, at: number): number | null {
  const marks = [
    ['<!--', '-->'],
    ['<?', '?>'],
  ] as const;
  const found = marks.find(([start]) => source.startsWith(start, at));
  if (found === undefined) return null;
  const end = source.indexOf(found[1], at + found[0].length);
  if (end < 0) throw new Malformed();
  return end + found[1].length;
}

function decodePart(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new Malformed();
  }
}

function match(pattern: RegExp, source: string, at: number): RegExpExecArray {
  pattern.lastIndex = at;
  const found = pattern.exec(source);
  if (found === null) throw new Malformed();
  return found;
}

function readAttributes(source: string): Map<string, string> {
  const attributes = new Map<string, string>();
  for (const [, name, double, single] of source.matchAll(ATTRIBUTE)) {
    const local = localName(name!);
    attributes.set(attributes.has(local) ? name! : local, unescape(double ?? single ?? ''));
  }
  return attributes;
}

function localName(name: string): string {
  return name.slice(name.indexOf(':') + 1);
}

function unescape(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(/&(?:#(\d+)|#x([0-9a-f]+)|(\w+))?;?/gi, (whole, decimal, hex, name) => {
    if (!whole.endsWith(';')) throw new Malformed();
    if (name !== undefined) return named(name);
    return fromCode(decimal === undefined ? parseInt(hex, 16) : parseInt(decimal, 10));
  });
}

function named(name: string): string {
  if (!Object.hasOwn(NAMED, name)) throw new Malformed();
  return NAMED[name]!;
}

/** What XML allows: no NUL, no half of a surrogate pair, nothing beyond Unicode. */
function fromCode(code: number): string {
  const isAllowed = code > 0 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
  if (!isAllowed) throw new Malformed();
  return String.fromCodePoint(code);
}
