/**
 * Cuts a growing answer into blocks and never parses a finished block again.
 *
 * Only the last block of a markdown text can still change when more text comes, so everything
 * before it is kept as it was drawn. (The one exception is a reference link whose definition comes
 * later: it stays as it was written.)
 */

import type { Token, Tokens } from 'marked';
import remend from 'remend';
import { languageName, lex, toHtml } from './html';

export type Block =
  | { readonly key: number; readonly kind: 'html'; readonly html: string }
  | { readonly key: number; readonly kind: 'code'; readonly code: Code }
  /** Too long to be parsed within a frame, or more than the parser bears. */
  | { readonly key: number; readonly kind: 'text'; readonly text: string };

export interface Code {
  readonly language: string;
  readonly text: string;
  /** The closing fence has come, or the answer has ended. */
  readonly closed: boolean;
}

/** A block beyond this is shown as plain text: parsing it would stop the page for a moment. */
const LONGEST_PARSED = 20_000;

export class BlockCache {
  private finished: Block[] = [];
  /** How much of the text `finished` covers. */
  private finishedLength = 0;
  private text = '';
  /** Characters given to the parser so far; tests hold it against the length of the text. */
  parsedLength = 0;

  /** The blocks of a text; `ended` says that nothing will be added to it. */
  update(whole: string, ended: boolean): readonly Block[] {
    // As the parser does it: otherwise its lengths are not ours.
    const text = whole.replaceAll(/\r\n?/g, '\n');
    if (!text.startsWith(this.text)) this.forget();
    this.text = text;
    const tail = text.slice(this.finishedLength);
    const tokens = this.lexTail(tail);
    if (!tokens) return [...this.finished, this.plain(tail)];
    const open = ended ? tokens.length : firstOpenIndex(tokens);
    tokens.slice(0, open).forEach((token) => this.finish(token));
    const rest = tokens.slice(open).filter(isContent);
    const first = this.finished.length;
    return [
      ...this.finished,
      ...rest.map((token, index) => draw(token, first + index, index === rest.length - 1)),
    ];
  }

  private lexTail(tail: string): Token[] | null {
    if (tail.length > LONGEST_PARSED && !isFence(tail)) return null;
    this.parsedLength += tail.length;
    try {
      return lex(tail);
    } catch {
      return null;
    }
  }

  private finish(token: Token): void {
    this.finishedLength += token.raw.length;
    if (isContent(token)) this.finished.push(draw(token, this.finished.length, false));
  }

  private plain(text: string): Block {
    return { key: this.finished.length, kind: 'text', text };
  }

  private forget(): void {
    this.finished = [];
    this.finishedLength = 0;
  }
}

function draw(token: Token, key: number, growing: boolean): Block {
  if (token.type === 'code')
    return { key, kind: 'code', code: asCode(token as Tokens.Code, growing) };
  try {
    return { key, kind: 'html', html: toHtml(growing ? lex(mend(token.raw)) : [token]) };
  } catch {
    return { key, kind: 'text', text: token.raw };
  }
}

/** Closes what is still open, so that half of `**bold` is already bold. */
function mend(raw: string): string {
  return remend(raw, { linkMode: 'text-only', images: false, htmlTags: false, katex: false });
}

/** What may become the next item of the list before it, once more of it has come. */
const BEGINNING_OF_ITEM = /^ {0,3}(?:\d{1,9}|[-*+]+)\s*$/;

/** Index of the first block that can still change. */
function firstOpenIndex(tokens: readonly Token[]): number {
  const last = tokens.findLastIndex(isContent);
  if (last === -1) return 0;
  const before = tokens.slice(0, last).findLastIndex(isContent);
  const mayJoin = tokens[before]?.type === 'list' && BEGINNING_OF_ITEM.test(tokens[last]!.raw);
  return mayJoin ? before : last;
}

function isContent(token: Token): boolean {
  return token.type !== 'space' && token.type !== 'def';
}

function isFence(text: string): boolean {
  return /^\s*(?:```|~~~)/.test(text);
}

function asCode(token: Tokens.Code, growing: boolean): Code {
  const { lang, raw, text } = token;
  const closed = !growing || /\n {0,3}(?:`{3,}|~{3,})[ \t]*\n?$/.test(raw);
  return { language: languageName(lang), text, closed };
}
