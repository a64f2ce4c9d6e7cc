/**
 * Lists, tables and code grow by items, rows and lines. The finished ones are kept here as they
 * were drawn, so that only the last item, row or line is parsed when more text comes.
 */

import type { Token, Tokens } from 'marked';
import type { Block } from './blocks';
import { drawable, drawableCode, drawableRow } from './hold_back';
import { isClosedFence, lex, listItem, listShell, type Shell, tableRow, tableShell } from './html';
import { languageName } from './language_names';
import type { References } from './references';

export interface Container {
  /** Text that is put before the rest, so that the parser knows what the rest belongs to. */
  readonly prefix: string;
  readonly isEmpty: boolean;
  /** Keeps the finished part of `token`. Returns its length in the text. */
  take(token: Token): number;
  /** Keeps all of `token`, because it has ended. Returns its length in the text. */
  finish(token: Token): number;
  /** How many characters of `token` are not finished. */
  openLength(token: Token): number;
  /** The finished part. */
  block(key: number): Block;
  /** The finished part, and after it the open part of `token`. */
  openBlock(token: Token, key: number, references: References): Block;
}

/** The container that begins with `token`, if it is one. */
export function containerOf(token: Token): Container | null {
  if (token.type === 'list') return new List(token as Tokens.List);
  if (token.type === 'table') return new Table(token as Tokens.Table);
  const isCode = token.type === 'code' && languageName((token as Tokens.Code).lang) !== 'math';
  return isCode ? new CodeLines(token as Tokens.Code) : null;
}

class List implements Container {
  readonly prefix = '';
  private readonly shell: Shell;
  private readonly finished: string[] = [];

  constructor(list: Tokens.List) {
    this.shell = listShell(list);
  }

  get isEmpty(): boolean {
    return this.finished.length === 0;
  }

  take(token: Token): number {
    const list = token as Tokens.List;
    return this.keep(list, list.items.slice(0, -openItems(list).length));
  }

  finish(token: Token): number {
    this.keep(token as Tokens.List, (token as Tokens.List).items);
    return token.raw.length;
  }

  openLength(token: Token): number {
    return lengthOf(openItems(token as Tokens.List));
  }

  block(key: number): Block {
    return piecesBlock(key, this.shell, this.finished, []);
  }

  openBlock(token: Token, key: number, references: References): Block {
    const list = token as Tokens.List;
    const open = openItems(list).flatMap((item) => {
      const [shown] = lex(drawable(item.raw), { references, growing: true });
      if (shown?.type !== 'list') return [];
      return (shown as Tokens.List).items.map((one) => listItem(shown as Tokens.List, one));
    });
    return piecesBlock(key, this.shell, this.finished, open);
  }

  private keep(list: Tokens.List, items: readonly Tokens.ListItem[]): number {
    this.finished.push(...items.map((item) => listItem(list, item)));
    return lengthOf(items);
  }
}

/** The last item, and the one before it while the last may turn out to be a rule or a word. */
function openItems({ items }: Tokens.List): readonly Tokens.ListItem[] {
  const isItem = /^[ \t]*(?:[-*+]|\d{1,9}[.)])\s+[\s\S]*[^\s*_+-]/.test(items.at(-1)!.raw);
  return items.slice(isItem ? -1 : -2);
}

function lengthOf(items: readonly Tokens.ListItem[]): number {
  return items.reduce((length, { raw }) => length + raw.length, 0);
}

class Table implements Container {
  prefix = '';
  private readonly head: string;
  private readonly shell: Shell;
  private readonly finished: string[] = [];

  constructor(table: Tokens.Table) {
    this.head = table.raw.slice(0, afterLines(table.raw, 2));
    this.shell = tableShell(table);
  }

  get isEmpty(): boolean {
    return this.finished.length === 0;
  }

  take(token: Token): number {
    const { raw, rows } = token as Tokens.Table;
    const finished = rows.slice(0, -1);
    if (finished.length === 0) return 0;
    const length = afterLines(raw, 2 + finished.length) - this.prefix.length;
    this.keep(finished);
    return length;
  }

  finish(token: Token): number {
    const length = token.raw.length - this.prefix.length;
    this.keep((token as Tokens.Table).rows);
    return length;
  }

  openLength(token: Token): number {
    return token.raw.length - afterLines(token.raw, 1 + (token as Tokens.Table).rows.length);
  }

  block(key: number): Block {
    return piecesBlock(key, this.shell, this.finished, []);
  }

  openBlock(token: Token, key: number, references: References): Block {
    const { raw, rows } = token as Tokens.Table;
    const row = rows.length === 0 ? '' : drawableRow(raw.slice(afterLines(raw, 1 + rows.length)));
    const [shown] = row === '' ? [] : lex(this.head + row, { references, growing: true });
    const open = shown?.type === 'table' ? (shown as Tokens.Table).rows.map(tableRow) : [];
    // Until its second line is finished, the head may change.
    const shell = this.isEmpty ? tableShell(token as Tokens.Table) : this.shell;
    return piecesBlock(key, shell, this.finished, open);
  }

  private keep(rows: Tokens.Table['rows']): void {
    this.finished.push(...rows.map(tableRow));
    this.prefix = this.head;
  }
}

class CodeLines implements Container {
  prefix = '';
  private readonly language: string;
  private text = '';

  constructor({ lang }: Tokens.Code) {
    this.language = languageName(lang);
  }

  get isEmpty(): boolean {
    return this.prefix === '';
  }

  take(token: Token): number {
    const { raw, text, codeBlockStyle } = token as Tokens.Code;
    const lineStart = text.lastIndexOf('\n') + 1;
    const finished = text.slice(0, lineStart);
    // The end of the line before a closing fence is no part of the code.
    const mayClose = /^[ \t]*[`~]*[ \t]*$/.test(text.slice(lineStart));
    if (finished === '' || mayClose || codeBlockStyle === 'indented') return 0;
    const end = afterLines(raw, 1 + finished.split('\n').length - 1);
    const length = end - this.prefix.length;
    this.text += finished;
    this.prefix = raw.slice(0, afterLines(raw, 1));
    return length;
  }

  finish(token: Token): number {
    this.text += (token as Tokens.Code).text;
    return token.raw.length - this.prefix.length;
  }

  openLength(): number {
    // A line of code is never cut.
    return 0;
  }

  block(key: number): Block {
    return this.codeBlock(key, this.text, true);
  }

  openBlock(token: Token, key: number): Block {
    const { raw, text } = token as Tokens.Code;
    const closed = isClosedFence(token as Tokens.Code) && raw.includes('\n');
    const open = text.slice(text.lastIndexOf('\n') + 1);
    const isTaken = this.prefix !== '';
    const shown = closed ? open : drawableCode(isTaken ? open : text);
    return this.codeBlock(key, isTaken ? this.text + shown : closed ? text : shown, closed);
  }

  private codeBlock(key: number, text: string, closed: boolean): Block {
    return { key, kind: 'code', code: { language: this.language, text, closed } };
  }
}

function piecesBlock(
  key: number,
  shell: Shell,
  finished: readonly string[],
  open: string[],
): Block {
  return { key, kind: 'pieces', pieces: { shell, finished, count: finished.length, open } };
}

/** Index behind the first `count` lines of `text`. */
function afterLines(text: string, count: number): number {
  let end = 0;
  for (let line = 0; line < count; line += 1) {
    const at = text.indexOf('\n', end);
    if (at === -1) return text.length;
    end = at + 1;
  }
  return end;
}
