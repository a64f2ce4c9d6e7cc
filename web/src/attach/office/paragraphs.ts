/**
 * The paragraphs of a Word document or of a slide, whose elements have the same names: `p` with
 * runs of text `t`, and tables `tbl` of rows `tr` and cells `tc`.
 *
 *   heading     # Title          list item   - item, two spaces for each level
 *   table row   cells with tabs between      footnote    [^1] and, at its own place, [^1]: text
 *
 * Left out: headers and footers, comments, deleted text, instructions of fields.
 */

import { Lines } from './lines';
import type { XmlEvent } from './xml';

export interface Style {
  /** From 1; 0 for what is no heading. */
  readonly headingLevel: number;
  readonly isList: boolean;
}

/** Adds the paragraphs of a part to `lines`. */
export function addParagraphs(
  events: Iterable<XmlEvent>,
  styles: ReadonlyMap<string, Style>,
  lines: Lines,
): void {
  const reader = new ParagraphReader(styles, lines);
  for (const event of events) reader.take(event);
}

interface Paragraph {
  text: string;
  headingLevel: number;
  isList: boolean;
  listLevel: number;
}

/** What stands for itself in a run of text. */
const CHARACTERS: Readonly<Record<string, string>> = {
  tab: '\t',
  ptab: '\t',
  br: '\n',
  cr: '\n',
  noBreakHyphen: '-',
};

/** Where they do: a `tab` elsewhere is the place of a tab stop. */
const IN_TEXT = new Set(['r', 'p']);

/** What is in them is deleted, moved away, or a copy for old programs. */
const SKIPPED = new Set(['del', 'moveFrom', 'Fallback']);

const TITLE_LEVEL = 1;
const MOST_LEVELS = 9;

class ParagraphReader {
  /** The elements that are open. */
  private readonly path: string[] = [];
  private skippedDepth: number | null = null;
  /** More than one if a text box is within a paragraph. */
  private readonly paragraphs: Paragraph[] = [];
  /** Lines of each table cell or footnote that is open. */
  private readonly cells: string[][] = [];
  /** Finished cells of each table row that is open. */
  private readonly rows: string[][] = [];
  private note = '';

  constructor(
    private readonly styles: ReadonlyMap<string, Style>,
    private readonly lines: Lines,
  ) {}

  take(event: XmlEvent): void {
    if (event.kind === 'open') {
      if (SKIPPED.has(event.name)) this.skippedDepth ??= this.path.length;
      if (this.skippedDepth === null) this.open(event.name, event.attributes);
      this.path.push(event.name);
    } else if (event.kind === 'close') {
      this.path.pop();
      if (this.skippedDepth === null) this.close(event.name);
      else if (this.skippedDepth === this.path.length) this.skippedDepth = null;
    } else if (this.skippedDepth === null && this.path.at(-1) === 't') {
      this.append(event.text);
    }
  }

  private open(name: string, attributes: ReadonlyMap<string, string>): void {
    const value = attributes.get('val') ?? '';
    const paragraph = this.paragraphs.at(-1);
    if (name === 'p') this.paragraphs.push(newParagraph());
    else if (name === 'tr') this.rows.push([]);
    else if (name === 'tc') this.cells.push([]);
    else if (name === 'footnote' || name === 'endnote') this.openNote(name, attributes);
    else if (paragraph === undefined) return;
    else if (name === 'pStyle') Object.assign(paragraph, this.styles.get(value));
    else if (name === 'outlineLvl') paragraph.headingLevel = levelOf(value);
    else if (name === 'numId') paragraph.isList = value !== '0';
    else if (name === 'ilvl') paragraph.listLevel = Math.max(0, levelOf(value) - 1);
    else if (name === 'footnoteReference' || name === 'endnoteReference') {
      this.append(mark(name, attributes));
    } else if (IN_TEXT.has(this.path.at(-1) ?? '')) this.append(CHARACTERS[name] ?? '');
  }

  private close(name: string): void {
    if (name === 'p') {
      this.emit(written(this.paragraphs.pop()!));
    } else if (name === 'tc') {
      const cell = this.cells.pop()!.join(' ').replace(/\s+/g, ' ').trim();
      this.rows.at(-1)?.push(cell);
    } else if (name === 'tr') {
      this.emit(this.rows.pop()!.join('\t'));
    } else if (name === 'footnote' || name === 'endnote') {
      const note = this.cells.pop()!.join(' ').trim();
      if (this.note !== '') this.lines.add(`${this.note}: ${note}`);
    }
  }

  /** Notes with a type are the lines between text and notes. */
  private openNote(name: string, attributes: ReadonlyMap<string, string>): void {
    this.note = attributes.has('type') ? '' : mark(name, attributes);
    this.cells.push([]);
  }

  private emit(line: string): void {
    const cell = this.cells.at(-1);
    if (cell === undefined) {
      this.lines.add(line);
    } else {
      this.lines.count(line.length);
      cell.push(line);
    }
  }

  private append(text: string): void {
    const paragraph = this.paragraphs.at(-1);
    if (paragraph !== undefined) paragraph.text += text;
  }
}

function newParagraph(): Paragraph {
  return { text: '', headingLevel: 0, isList: false, listLevel: 0 };
}

function written({ text, headingLevel, isList, listLevel }: Paragraph): string {
  const line = text.trimEnd();
  if (line === '') return '';
  if (headingLevel > 0) return `${'#'.repeat(headingLevel)} ${line.trimStart()}`;
  return isList ? `${'  '.repeat(listLevel)}- ${line.trimStart()}` : line;
}

/** Footnotes and endnotes are numbered apart. */
function mark(name: string, attributes: ReadonlyMap<string, string>): string {
  return `[^${name.startsWith('end') ? 'e' : ''}${attributes.get('id') ?? ''}]`;
}

/** The styles of a Word document by their ids, which are numbers in Chinese versions of Word. */
export function readStyles(events: Iterable<XmlEvent>): Map<string, Style> {
  const styles = new Map<string, Style>();
  let id = '';
  for (const event of events) {
    if (event.kind !== 'open') continue;
    const value = event.attributes.get('val') ?? '';
    const style = styles.get(id) ?? { headingLevel: 0, isList: false };
    if (event.name === 'style') id = event.attributes.get('styleId') ?? '';
    else if (event.name === 'name') styles.set(id, { ...style, headingLevel: levelOfName(value) });
    else if (event.name === 'outlineLvl')
      styles.set(id, { ...style, headingLevel: levelOf(value) });
    else if (event.name === 'numId') styles.set(id, { ...style, isList: value !== '0' });
  }
  return styles;
}

function levelOfName(name: string): number {
  if (/^title$/i.test(name)) return TITLE_LEVEL;
  const [, level] = /^heading ([1-9])$/i.exec(name) ?? [];
  return Number(level ?? 0);
}

/**
 * Levels count from 0 in the file, to 8 in outlines and lists; others are none, which is 0 here.
 */
function levelOf(value: string): number {
  const level = Number(value);
  return Number.isInteger(level) && level >= 0 && level < MOST_LEVELS ? level + 1 : 0;
}
