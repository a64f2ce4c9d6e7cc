/**
 * The few tags of HTML that models write within markdown and that mean something to a reader. Their
 * attributes are dropped, and a tag without its end is text: `<s>` in a sentence about HTML must
 * not strike out the rest of it. All other HTML is shown as the text it is.
 */

import type { MarkedExtension, Token, Tokens } from 'marked';
import type { AnswerLexer } from './emphasis';

const PAIRED = 'sub|sup|kbd|mark|u|s|details|summary';
const INLINE = /^<(sub|sup|kbd|mark|u|s|summary)(?:\s[^<>]*)?>/i;
const BREAK = /^<br(?:\s[^<>]*)?\/?>/i;
const DETAILS = /^ {0,3}<details(?:\s[^<>]*)?>/i;
const SUMMARY = /^\s*<summary(?:\s[^<>]*)?>([\s\S]*?)<\/summary\s*>/i;
/** How far the end of `<details>` is looked for, and that of a tag in a line. */
const LONGEST = 30_000;
const LONGEST_IN_LINE = 1_000;

interface TagToken extends Tokens.Generic {
  readonly name: string;
  readonly tokens: Token[];
}

export const tagSyntax: MarkedExtension = {
  extensions: [
    {
      name: 'details',
      level: 'block',
      start: (text) => /\n {0,3}<details[\s>]/i.exec(text)?.index,
      childTokens: ['summary', 'tokens'],
      tokenizer(text) {
        const open = DETAILS.exec(text)?.[0];
        if (open === undefined) return undefined;
        const end = endOf('details', text, open.length);
        // Kept together until its end comes, or can no longer come.
        const lexer = this.lexer as AnswerLexer;
        if (!end && lexer.isAtEnd(text) && text.length < LONGEST) return lexer.awaitingEnd(text);
        if (!end) return undefined;
        const inner = text.slice(open.length, end.start);
        const [head = '', title = ''] = SUMMARY.exec(inner) ?? [];
        const rest = /^[ \t]*\n?/.exec(text.slice(end.end))![0];
        return {
          type: 'details',
          raw: text.slice(0, end.end) + rest,
          summary: this.lexer.inline(title.trim()),
          tokens: this.lexer.blockTokens(inner.slice(head.length).replace(/^\s*\n/, ''), []),
        };
      },
      renderer(token) {
        const { summary, tokens = [] } = token as Tokens.Generic & { summary: Token[] };
        const head = summary.length ? `<summary>${this.parser.parseInline(summary)}</summary>` : '';
        return `<details>${head}${this.parser.parse(tokens)}</details>\n`;
      },
    },
    {
      name: 'pairedTag',
      level: 'inline',
      tokenizer(text) {
        const line = BREAK.exec(text);
        if (line) return { type: 'br', raw: line[0] };
        const match = INLINE.exec(text);
        const name = match?.[1]!.toLowerCase();
        const end = match && name ? endOf(name, text, match[0].length) : null;
        if (!match || !end) return undefined;
        const inner = text.slice(match[0].length, end.start);
        const raw = text.slice(0, end.end);
        return { type: 'pairedTag', raw, name, tokens: this.lexer.inlineTokens(inner) };
      },
      renderer(token) {
        const { name, tokens } = token as TagToken;
        return `<${name}>${this.parser.parseInline(tokens)}</${name}>`;
      },
    },
  ],
};

/** Where the tag that was opened before `from` is closed again. */
function endOf(name: string, text: string, from: number): { start: number; end: number } | null {
  const tags = new RegExp(`<(/?)${name}(?:\\s[^<>]*)?>`, 'gi');
  const searched = text.slice(0, from + (name === 'details' ? LONGEST : LONGEST_IN_LINE));
  tags.lastIndex = from;
  let depth = 1;
  for (let match = tags.exec(searched); match; match = tags.exec(searched)) {
    depth += match[1] === '/' ? -1 : 1;
    if (depth === 0) return { start: match.index, end: tags.lastIndex };
  }
  return null;
}

/** A tag at the end of a growing text that may still be completed. */
export const BEGINNING_OF_TAG = new RegExp(`<(?:/?[a-z]{0,9}|(?:${PAIRED}|br)[\\s/][^<>]*)$`, 'i');

/** A tag counts as one before its end has arrived, for a short while. */
const AWAITED = 200;

/** The end tags for all tags that are open at the end of a growing text. */
export function closingTags(text: string): string {
  const open: string[] = [];
  const tags = new RegExp(`<(/?)(${PAIRED})(?:\\s[^<>]*)?>`, 'gi');
  for (const { 1: slash, 2: name, index } of text.matchAll(tags)) {
    const tag = name!.toLowerCase();
    if (slash) open.splice(open.lastIndexOf(tag), open.includes(tag) ? 1 : 0);
    else if (tag === 'details' || text.length - index < AWAITED) open.push(tag);
  }
  return open
    .reverse()
    .map((tag) => `${tag === 'details' ? '\n' : ''}</${tag}>`)
    .join('');
}
