/**
 * Reads Office files since 2007, which are zips of XML. A chunk of its own, loaded when the first
 * one is attached.
 *
 *   zip.ts ──► xml.ts ──► package.ts: how parts name one another
 *                    ├──► word.ts, slides.ts ──► paragraphs.ts
 *                    └──► sheet.ts ──► dates.ts
 */

import { type Limits, type OfficeKind, Refused } from '../attachment';
import { Lines } from './lines';
import { partOfType, relationsOf } from './package';
import { addSheetText } from './sheet';
import { addSlideText } from './slides';
import { addWordText } from './word';
import { Malformed } from './xml';
import { Zip } from './zip';

export interface OfficeText {
  readonly text: string;
  readonly source: { readonly kind: OfficeKind };
}

/** The text of an Office file; throws `Refused` for any other zip. */
export async function readOffice(bytes: Uint8Array, limits: Limits): Promise<OfficeText> {
  const zip = new Zip(bytes, limits.unpackedBytes);
  const main = await reading('zip', async () =>
    partOfType(await relationsOf(zip, ''), 'officeDocument'),
  );
  const kind = KINDS.find(([folder]) => main?.startsWith(folder))?.[1];
  if (main === null || kind === undefined) throw new Refused(otherZip(zip));
  const lines = new Lines(limits.textBytes);
  await reading(kind, () => READERS[kind](zip, main, lines));
  return { text: lines.text(), source: { kind } };
}

const KINDS: [folder: string, kind: OfficeKind][] = [
  ['word/', 'word'],
  ['xl/', 'sheet'],
  ['ppt/', 'slides'],
];

const READERS = { word: addWordText, sheet: addSheetText, slides: addSlideText };

async function reading<T>(expected: OfficeKind | 'zip', read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof Malformed) throw new Refused({ reason: 'damaged', expected });
    throw error;
  }
}

/** OpenDocument and e-books say what they are in an entry of this name. */
function otherZip(zip: Zip): ConstructorParameters<typeof Refused>[0] {
  return { reason: 'notText', found: zip.has('mimetype') ? 'otherDocument' : 'archive' };
}
