/** The parts of an Office file, and how they name one another. */

import { Refused, type OfficeKind } from '../attachment';
import { type XmlEvent, xmlEvents } from './xml';
import type { Zip } from './zip';

export interface Relation {
  /** The part that is meant, as the zip names it. */
  readonly part: string;
  /** The last word of its type, such as `worksheet`. */
  readonly type: string;
}

/** The relations of a part by id; those of the whole file for an empty name. */
export async function relationsOf(zip: Zip, part: string): Promise<Map<string, Relation>> {
  const folder = part.slice(0, part.lastIndexOf('/') + 1);
  const file = part.slice(folder.length);
  const relations = new Map<string, Relation>();
  const bytes = await zip.read(`${folder}_rels/${file}.rels`);
  if (bytes === null) return relations;
  for (const event of xmlEvents(bytes)) {
    if (event.kind !== 'open' || event.name !== 'Relationship') continue;
    const { attributes } = event;
    const type = attributes.get('Type')?.split('/').at(-1) ?? '';
    const target = attributes.get('Target') ?? '';
    relations.set(attributes.get('Id') ?? '', { part: resolve(folder, target), type });
  }
  return relations;
}

/** The part of a type that another part relates to. */
export function partOfType(relations: Map<string, Relation>, type: string): string | null {
  return [...relations.values()].find((relation) => relation.type === type)?.part ?? null;
}

/** The part that an element names: by an `id`, of which it may have a second one of its own. */
export function partNamedBy(
  attributes: ReadonlyMap<string, string>,
  relations: Map<string, Relation>,
): string | null {
  for (const [name, value] of attributes) {
    if (/(^|:)id$/.test(name) && relations.has(value)) return relations.get(value)!.part;
  }
  return null;
}

/** The events of a part that may be missing. */
export async function eventsOf(zip: Zip, part: string | null): Promise<Iterable<XmlEvent>> {
  const bytes = part === null ? null : await zip.read(part);
  return bytes === null ? [] : xmlEvents(bytes);
}

/** The events of a part without which there is no document. */
export async function eventsOfNeeded(
  zip: Zip,
  part: string,
  expected: OfficeKind,
): Promise<Iterable<XmlEvent>> {
  const bytes = await zip.read(part);
  if (bytes === null) throw new Refused({ reason: 'damaged', expected });
  return xmlEvents(bytes);
}

function resolve(folder: string, target: string): string {
  const path = target.startsWith('/') ? target.slice(1) : folder + target;
  const steps: string[] = [];
  for (const step of path.split('/')) {
    if (step === '..') steps.pop();
    else if (step !== '.') steps.push(step);
  }
  return steps.join('/');
}
