/** Makes zips and Office files by hand, also ones that no program would write. */

import { deflateRawSync } from 'node:zlib';
import { join } from './encoders';

export interface Entry {
  readonly name: string;
  readonly content: string | Uint8Array;
  readonly isStored?: boolean;
  readonly isEncrypted?: boolean;
  /** What the directory says instead of the real method. */
  readonly method?: number;
}

export function zipOf(entries: Entry[], comment = ''): Uint8Array {
  const locals: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let start = 0;
  for (const entry of entries) {
    const content = bytesOf(entry.content);
    const packed = entry.isStored ? content : new Uint8Array(deflateRawSync(content));
    const name = bytesOf(entry.name);
    const method = entry.method ?? (entry.isStored ? 0 : 8);
    const shared = [
      ...u16(20), ...u16(entry.isEncrypted ? 1 : 0), ...u16(method), ...u32(0), ...u32(0),
      ...u32(packed.length), ...u32(content.length), ...u16(name.length), ...u16(0),
    ]; // prettier-ignore
    locals.push(join(u32(0x04034b50), shared, name, packed));
    const rest = [...u16(0), ...u16(0), ...u16(0), ...u32(0), ...u32(start)];
    directory.push(join(u32(0x02014b50), u16(20), shared, rest, name));
    start += locals.at(-1)!.length;
  }
  const listed = join(...directory);
  const count = u16(entries.length);
  const end = [...u32(0x06054b50), ...u32(0), ...count, ...count];
  const text = bytesOf(comment);
  return join(...locals, listed, end, u32(listed.length), u32(start), u16(text.length), text);
}

export type Parts = Readonly<Record<string, string>>;

/** A Word document with this body; other parts by the type of their relation. */
export function wordOf(body: string, others: Parts = {}): Uint8Array {
  const xml = `<?xml version="1.0"?>\n<w:document xmlns:w="w"><w:body>${body}</w:body></w:document>`;
  return officeOf('word/document.xml', xml, others);
}

/** A workbook with one sheet of this content. */
export function sheetOf(rows: string, others: Parts = {}): Uint8Array {
  const sheet = `<worksheet><sheetData>${rows}</sheetData></worksheet>`;
  const main =
    '<workbook><sheets><sheet name="S" sheetId="1" r:id="worksheet"/></sheets></workbook>';
  return officeOf('xl/workbook.xml', main, { worksheet: sheet, ...others });
}

export function officeOf(main: string, content: string, others: Parts = {}): Uint8Array {
  const [folder, file] = main.split('/') as [string, string];
  const parts = Object.entries(others).map(([type, xml]) => ({
    name: `${folder}/${type}.xml`,
    content: xml,
  }));
  const relations = Object.keys(others).map((type) => relation(type, `${type}.xml`));
  return zipOf([
    { name: '_rels/.rels', content: relationsOf([relation('officeDocument', main)]) },
    { name: main, content },
    { name: `${folder}/_rels/${file}.rels`, content: relationsOf(relations) },
    ...parts,
  ]);
}

function relation(type: string, target: string): string {
  return `<Relationship Id="${type}" Type="http://x/${type}" Target="${target}"/>`;
}

function relationsOf(relations: string[]): string {
  return `<Relationships>${relations.join('')}</Relationships>`;
}

function bytesOf(content: string | Uint8Array): Uint8Array {
  return typeof content === 'string' ? new TextEncoder().encode(content) : content;
}

function u16(value: number): number[] {
  return [value & 0xff, value >>> 8];
}

function u32(value: number): number[] {
  return [...u16(value & 0xffff), ...u16(value >>> 16)];
}
