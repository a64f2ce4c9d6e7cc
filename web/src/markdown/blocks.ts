/**
 * Cuts a growing answer into blocks and never parses a finished block again.
 *
 * Only the last block of a markdown text can change when more text comes, and of a list, a table or
 * a block of code only the last item, row or line. Everything before it is kept as it was drawn:
 *
 *     text      # Title⏎⏎words⏎⏎1. one⏎2. two⏎3. thr
 *               └─ finished blocks ─┘└ pieces ┘└ parsed again when more text comes
 *
 * Long texts are parsed in slices, so a caller can draw one slice at a time. For the parser a slice
 * is like a piece of a stream: the blocks are the same however an answer arrives. A reference link
 * whose definition comes later becomes a link when the answer has ended: then all is parsed a
 * second time, and only the blocks that have changed are exchanged.
 */

import type { Token, Tokens } from 'marked';
import { type Container, containerOf } from './containers';
import { copyOf } from './copy_of';
import { fenceAround } from './fences';
import { drawable } from './hold_back';
import { lex, type Shell, toHtml } from './html';
import { References } from './references';

export type Block =
  | { readonly key: number; readonly kind: 'html'; readonly html: string }
  /** A list or a table. */
  | { readonly key: number; readonly kind: 'pieces'; readonly pieces: Pieces }
  | { readonly key: number; readonly kind: 'code'; readonly code: Code }
  /** Too much for the parser. */
  | { readonly key: number; readonly kind: 'text'; readonly text: string };

export interface Code {
  readonly language: string;
  readonly text: string;
  /** The closing fence has come, or the answer has ended. */
  readonly closed: boolean;
}

export interface Pieces {
  readonly shell: Shell;
  /** HTML of the finished items or rows: the first `count` entries. The array only grows. */
  readonly finished: readonly string[];
  readonly count: number;
  /** HTML of the items or rows that can still change. */
  readonly open: readonly string[];
}

/** A longer paragraph is cut after a line or sentence: browsers lay out a block as a whole. */
const LONGEST_BLOCK = 10_000;
/** The parser gets at most this much at a time, unless no block ends in it. */
const SLICE = 12_000;
/** A longer item is cut, too. It may hold code, which costs less than prose and is never cut. */
const LONGEST_ITEM = 128_000;
/** Tokens that can be cut between two lines or sentences. */
const PROSE = new Set(['paragraph', 'text', 'blockquote', 'footnote', 'list']);

export class BlockCache {
  private finished: Block[] = [];
  /** A list, a table or code of which the beginning is finished. */
  private container: Container | null = null;
  /** How much of the text `finished` and `container` cover. */
  private consumed = 0;
  /** The text as it was given, and with line ends as the parser makes them. */
  private source = '';
  private text = '';
  private hasReturns = false;
  /** Reads the text again with all definitions of reference links, as some came late. */
  private second: BlockCache | null = null;
  /** How many blocks it has exchanged. */
  private exchanged = 0;
  /** Characters given to the parser so far; tests compare it with the length of the text. */
  parsedLength = 0;
  /** Whether some text still waits to be parsed. */
  behind = false;

  constructor(private references = new References()) {}

  /**
   * The blocks of a text; `ended` says that nothing will be added to it. About `most` characters
   * are parsed, and the rest at the next calls.
   */
  update(whole: string, ended: boolean, most = Infinity): readonly Block[] {
    this.read(whole);
    const limit = this.parsedLength + most;
    const slice = Math.min(SLICE, most);
    let open = this.parseSlice(slice, ended);
    while (!open && this.parsedLength < limit) open = this.parseSlice(slice, ended);
    this.behind = !open;
    if (open && ended && (this.second || this.references.cameLate))
      // What is left of a batch may be too little to get on with.
      this.readAgain(limit - this.parsedLength < slice ? 0 : most);
    return [...this.finished, ...(open ?? this.begun())];
  }

  /** Parses a part of the text a second time, and exchanges the blocks that are not the same. */
  private readAgain(most: number): void {
    const second = (this.second ??= new BlockCache(new References(this.references)));
    const before = second.parsedLength;
    if (most > 0) second.update(this.source, true, most);
    this.parsedLength += second.parsedLength - before;
    for (; this.exchanged < second.finished.length; this.exchanged += 1) {
      const [old, fresh] = [this.finished, second.finished].map((all) => all[this.exchanged]);
      if (!old || !isSame(old, fresh!)) this.finished[this.exchanged] = fresh!;
    }
    this.behind = most === 0 || second.behind;
    if (this.behind) return;
    this.finished.length = second.finished.length;
    this.references = second.references;
    this.forgetSecond();
  }

  private read(whole: string): void {
    const before = this.source;
    const grows = whole.length >= before.length && whole.slice(0, before.length) === before;
    if (!grows) this.forget();
    const added = grows ? whole.slice(before.length) : whole;
    if (added !== '') this.forgetSecond();
    this.hasReturns = (grows && this.hasReturns) || added.includes('\r');
    this.source = whole;
    this.text = this.hasReturns ? whole.replaceAll(/\r\n?/g, '\n') : whole;
  }

  /**
   * Parses the next slice, or a longer one if nothing is finished in that. Returns the blocks that
   * are still open at the end of the text.
   */
  private parseSlice(shortest: number, ended: boolean): Block[] | null {
    const from = this.consumed;
    for (let length = shortest; ; length *= 2) {
      const slice = copyOf(this.text.slice(from, from + length));
      const isLast = from + slice.length === this.text.length;
      const open = this.parse(slice, isLast && ended);
      if (isLast && open) return open;
      if (this.consumed > from) return null;
    }
  }

  /** Finishes blocks of `slice`. Returns the open ones, or `null` if it must be parsed again. */
  private parse(slice: string, ended: boolean): Block[] | null {
    this.parsedLength += slice.length;
    try {
      const prefix = this.container?.prefix ?? '';
      return this.take(
        lex(prefix + slice, { references: this.references, growing: !ended }),
        ended,
      );
    } catch {
      return this.giveUp(ended);
    }
  }

  private take(tokens: Token[], ended: boolean): Block[] | null {
    const open = ended ? tokens.length : firstOpenIndex(tokens);
    for (const token of tokens.slice(0, open)) {
      if (this.cut(token)) return null;
      this.finish(token);
    }
    const rest = tokens.slice(open).filter(isContent);
    if (rest[0] && this.cut(rest[0])) return null;
    return rest.flatMap((token, index) => {
      const key = this.finished.length + index;
      return this.drawOpen(token, key, index === rest.length - 1);
    });
  }

  /** Text that the parser cannot handle becomes plain text, up to the next blank line. */
  private giveUp(ended: boolean): Block[] | null {
    this.closeContainer();
    const blank = this.text.indexOf('\n\n', this.consumed);
    const end = blank === -1 ? this.text.length : blank;
    const block: Block = {
      key: this.finished.length,
      kind: 'text',
      text: copyOf(this.text.slice(this.consumed, end)),
    };
    if (blank === -1 && !ended) return [block];
    this.finished.push(block);
    this.consumed = end;
    return blank === -1 ? [] : null;
  }

  private finish(token: Token): void {
    const container = this.container ?? containerOf(token);
    if (container) {
      this.consumed += container.finish(token);
      this.container = container;
      this.closeContainer();
      return;
    }
    if (token.type === 'def') this.references.define(token as Tokens.Def);
    if (isContent(token)) this.finished.push(this.draw([token], token.raw));
    this.consumed += token.raw.length;
  }

  private closeContainer(): void {
    if (this.container) this.finished.push(this.container.block(this.finished.length));
    this.container = null;
  }

  /** Cuts a block that is too long for one, and finishes its first part. */
  private cut(token: Token): boolean {
    // `<details>` are kept together until their end comes, or can no longer come.
    if ((token as Tokens.Generic).awaitsEnd) return false;
    const container = this.container ?? containerOf(token);
    const isTooLong = container
      ? container.openLength(token) > LONGEST_ITEM
      : isContent(token) && token.raw.length > LONGEST_BLOCK;
    if (!isTooLong || (!container && !PROSE.has(token.type))) return false;
    const open = container ? token.raw.slice(-container.openLength(token)) : token.raw;
    const length = lengthOfPart(open);
    if (length === null) return false;
    if (container) {
      this.consumed += container.take(token);
      this.container = container.isEmpty ? null : container;
    }
    this.closeContainer();
    const part = copyOf(this.text.slice(this.consumed, this.consumed + length));
    this.finished.push(this.draw(lex(part, { references: this.references }), part));
    this.consumed += length;
    return true;
  }

  private drawOpen(token: Token, key: number, isLast: boolean): Block[] {
    const container = key === this.finished.length ? (this.container ?? containerOf(token)) : null;
    if (container) {
      const taken = container.take(token);
      this.consumed += taken;
      if (taken > 0) this.container = container;
      return [container.openBlock(token, key, this.references)];
    }
    if (!isLast || token.type === 'mathBlock') return [{ ...this.draw([token], token.raw), key }];
    const shown = drawable(token.raw);
    // Nothing of it is visible yet, so the cursor gets no line of its own.
    if (shown === '') return [];
    const tokens = lex(shown, { references: this.references });
    return [{ ...this.draw(tokens, token.raw), key }];
  }

  private draw(tokens: Token[], raw: string): Block {
    const key = this.finished.length;
    const type = tokens[0]?.type ?? '';
    // Prose is longer if it holds code.
    const longest = PROSE.has(type) ? LONGEST_ITEM : LONGEST_BLOCK;
    if (raw.length > longest && type !== 'details') return { key, kind: 'text', text: raw };
    try {
      return { key, kind: 'html', html: toHtml(tokens) };
    } catch {
      return { key, kind: 'text', text: raw };
    }
  }

  /** The parsed part of a list, a table or code. */
  private begun(): Block[] {
    return this.container ? [this.container.block(this.finished.length)] : [];
  }

  private forget(): void {
    this.finished = [];
    this.container = null;
    this.consumed = 0;
    this.references = new References();
    this.text = '';
  }

  private forgetSecond(): void {
    [this.second, this.exchanged] = [null, 0];
  }
}

/** Whether two finished blocks look the same. */
function isSame(one: Block, other: Block): boolean {
  if (one.kind === 'html') return other.kind === 'html' && one.html === other.html;
  if (one.kind === 'text') return other.kind === 'text' && one.text === other.text;
  if (one.kind === 'code')
    return (
      other.kind === 'code' &&
      one.code.language === other.code.language &&
      one.code.text === other.code.text
    );
  if (other.kind !== 'pieces') return false;
  const [a, b] = [one.pieces, other.pieces];
  return (
    a.shell.open === b.shell.open &&
    a.count === b.count &&
    a.finished.every((html, index) => html === b.finished[index])
  );
}

/** A line that may become the next item of the list before it, when more text has come. */
const BEGINNING_OF_ITEM = /^ {0,3}(?:\d{1,9}[.)]?|[-*+]+)\s*$/;

/** Index of the first block that can still change. */
function firstOpenIndex(tokens: readonly Token[]): number {
  let open = tokens.findLastIndex(isContent);
  for (;;) {
    const before = tokens.slice(0, Math.max(0, open)).findLastIndex(isContent);
    if (before === -1) return Math.max(0, open);
    if (!mayJoin(tokens[before]!, tokens[open]!, before === open - 1)) return open;
    open = before;
  }
}

/** Blocks that go on in the next line unless that begins another one. */
const GOES_ON = new Set(['paragraph', 'blockquote', 'list', 'table']);

/** Whether the last block may turn out to belong to the one before it. */
function mayJoin(before: Token, last: Token, areAdjacent: boolean): boolean {
  if (before.type === 'list' && BEGINNING_OF_ITEM.test(last.raw)) return true;
  const goesOn = GOES_ON.has(before.type) && areAdjacent && !/\n[ \t]*\n$/.test(before.raw);
  return goesOn && isUndecided(last);
}

/** What follows in its line, or that its end never comes, may make words of such a block. */
function isUndecided(block: Token): boolean {
  const { type, raw } = block;
  if (type === 'heading' || type === 'hr' || type === 'mathBlock') return !raw.endsWith('\n');
  // Only a list that begins with 1 can follow words directly.
  if (type === 'list')
    return BEGINNING_OF_ITEM.test(raw) || Number((block as Tokens.List).start) > 1;
  if (type === 'code') return !raw.includes('\n');
  if (type === 'table') return raw.split('\n').length === 2;
  return (block as Tokens.Generic).awaitsEnd === true;
}

function isContent(token: Token): boolean {
  return token.type !== 'space' && token.type !== 'def';
}

/**
 * How much of a text that is too long becomes a block; `null` if all of it is one piece of code.
 */
function lengthOfPart(text: string): number | null {
  const end = cutIndex(text.slice(0, LONGEST_BLOCK));
  const fence = fenceAround(text, end);
  if (!fence) return end;
  if (/[^\s>]/.test(text.slice(0, fence.start))) return fence.start;
  return fence.end < text.length ? fence.end : null;
}

/** Where a text too long for one block is cut: after a line, a sentence, a word, or anywhere. */
function cutIndex(text: string): number {
  const half = text.length / 2;
  for (const end of [/\n[ \t]*/g, /[。！？.!?][”"』」）)]*\s*/g, /[，、,;；\s]\s*/g]) {
    const matches = [...text.matchAll(end)];
    const match = matches.findLast(({ index }) => index > half);
    if (match) return match.index + match[0].length;
  }
  // Never between the halves of a character.
  return /[\ud800-\udbff]$/.test(text) ? text.length - 1 : text.length;
}
