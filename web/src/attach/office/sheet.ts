/**
 * The text of a workbook (.xlsx): each sheet's name, then its rows with tabs between the cells. It
 * shows what people see: stored results of formulas, dates as dates, no hidden sheets.
 */

import { dateStyles, dateText } from './dates';
import type { Lines } from './lines';
import { eventsOf, eventsOfNeeded, partNamedBy, partOfType, relationsOf } from './package';
import type { XmlEvent } from './xml';
import type { Zip } from './zip';

export async function addSheetText(zip: Zip, workbook: string, lines: Lines): Promise<void> {
  const relations = await relationsOf(zip, workbook);
  const sheets: { name: string; part: string }[] = [];
  let startsIn1904 = false;
  for (const event of await eventsOfNeeded(zip, workbook, 'sheet')) {
    if (event.kind !== 'open') continue;
    const { attributes } = event;
    if (event.name === 'workbookPr') startsIn1904 = isTrue(attributes.get('date1904'));
    if (event.name !== 'sheet' || (attributes.get('state') ?? 'visible') !== 'visible') continue;
    const part = partNamedBy(attributes, relations);
    if (part !== null) sheets.push({ name: attributes.get('name') ?? '', part });
  }
  const shared = sharedTexts(await eventsOf(zip, partOfType(relations, 'sharedStrings')));
  const dates = dateStyles(await eventsOf(zip, partOfType(relations, 'styles')));
  const reader = { shared, dates, startsIn1904 };
  for (const { name, part } of sheets) {
    lines.begin(`# ${oneLine(name)}`);
    addRows(await eventsOfNeeded(zip, part, 'sheet'), reader, lines);
  }
}

interface Workbook {
  readonly shared: string[];
  /** Styles that show a number as a date. */
  readonly dates: ReadonlySet<number>;
  readonly startsIn1904: boolean;
}

interface Cell {
  readonly column: number;
  readonly type: string;
  readonly style: number;
  value: string;
}

/** Excel has no more; a cell beyond is an attack. */
const MOST_COLUMNS = 16_384;

function addRows(events: Iterable<XmlEvent>, workbook: Workbook, lines: Lines): void {
  let row: string[] = [];
  let cell: Cell | null = null;
  let path: string[] = [];
  for (const event of events) {
    if (event.kind === 'open') {
      path.push(event.name);
      if (event.name === 'row') row = [];
      if (event.name === 'c') cell = newCell(event.attributes, row.length);
    } else if (event.kind === 'text') {
      const isValue = path.at(-1) === 'v' || (path.at(-1) === 't' && !path.includes('rPh'));
      if (cell !== null && isValue) cell.value += event.text;
    } else {
      path.pop();
      if (event.name === 'c' && cell !== null) {
        const text = shown(cell, workbook);
        if (text !== '') place(row, cell.column, text, lines);
        cell = null;
      }
      if (event.name === 'row' && row.length > 0) lines.add(row.join('\t'));
    }
  }
}

/** Cells that are empty may be missing in the file. */
function place(row: string[], column: number, text: string, lines: Lines): void {
  lines.count(Math.max(0, column - row.length));
  while (row.length < column) row.push('');
  row[column] = text;
}

function newCell(attributes: ReadonlyMap<string, string>, next: number): Cell {
  const letters = /^[A-Z]{1,3}/.exec(attributes.get('r') ?? '')?.[0];
  const column = letters === undefined ? next : columnOf(letters);
  return {
    column: Math.min(column, MOST_COLUMNS),
    type: attributes.get('t') ?? 'n',
    style: Number(attributes.get('s') ?? 0),
    value: '',
  };
}

/** A is 0, Z 25, AA 26. */
function columnOf(letters: string): number {
  let column = 0;
  for (const letter of letters) column = column * 26 + letter.charCodeAt(0) - 64;
  return column - 1;
}

function shown({ type, style, value }: Cell, workbook: Workbook): string {
  if (type === 's') return oneLine(workbook.shared[Number(value)] ?? '');
  if (type === 'b') return isTrue(value) ? 'TRUE' : 'FALSE';
  if (type !== 'n' || value.trim() === '') return oneLine(value);
  const number = Number(value);
  if (workbook.dates.has(style)) return dateText(number, workbook.startsIn1904) ?? value;
  // Excel shows 15 digits, and stores 0.1 + 0.2 with 17.
  return Number.isFinite(number) ? String(Number(number.toPrecision(15))) : value;
}

/** Excel writes some control characters by their codes, such as `_x000D_`. */
function oneLine(text: string): string {
  return text.replace(/(?:\s|_x00[01][0-9A-F]_)+/g, ' ').trim();
}

function isTrue(value: string | undefined): boolean {
  return value === '1' || value === 'true';
}

/** Texts that cells refer to by number. `rPh` holds how Japanese ones are pronounced. */
function sharedTexts(events: Iterable<XmlEvent>): string[] {
  const texts: string[] = [];
  const path: string[] = [];
  for (const event of events) {
    if (event.kind === 'open') {
      path.push(event.name);
      if (event.name === 'si') texts.push('');
    } else if (event.kind === 'close') {
      path.pop();
    } else if (path.at(-1) === 't' && !path.includes('rPh') && texts.length > 0) {
      texts[texts.length - 1] += event.text;
    }
  }
  return texts;
}
