/**
 * Footnotes: `[^1]` in a sentence, and `[^1]: text` where it is told. An answer is drawn while it
 * grows, so a note stays where the model wrote it, and keeps the model's own label.
 */

import type { MarkedExtension, Token, Tokens } from 'marked';
import { escapeHtml } from './math_syntax';

/** Not a class of characters such as `[^a-z]`. */
const LABEL = '(?![A-Za-z\\d]-[A-Za-z\\d])[\\p{L}\\p{N}_-]{1,32}';
const REFERENCE = new RegExp(`^\\[\\^(${LABEL})\\](?!\\()`, 'u');
const NOTE = new RegExp(
  `^ {0,3}\\[\\^(${LABEL})\\]:[ \\t]*([^\\n]*(?:\\n(?:[ \\t]*\\n)*(?: {4}|\\t)[^\\n]*)*)(?:\\n|$)`,
  'u',
);

interface NoteToken extends Tokens.Generic {
  readonly label: string;
  readonly tokens: Token[];
}

export const footnoteSyntax: MarkedExtension = {
  extensions: [
    {
      name: 'footnote',
      level: 'block',
      start: (text) => /\n {0,3}\[\^[^\]\n]{1,32}\]:/.exec(text)?.index,
      tokenizer(text) {
        const match = NOTE.exec(text);
        if (!match) return undefined;
        const content = match[2]!.replace(/\n(?: {4}|\t)/g, '\n');
        const tokens = this.lexer.blockTokens(content, []);
        return { type: 'footnote', raw: match[0], label: match[1]!, tokens };
      },
      renderer(token) {
        const { label, tokens } = token as NoteToken;
        const text = this.parser
          .parse(tokens)
          .replace(/^<p>([\s\S]*?)<\/p>/, '$1')
          .trimEnd();
        return `<div data-footnote=""><sup>${escapeHtml(label)}</sup> ${text}</div>\n`;
      },
    },
    {
      name: 'footnoteReference',
      level: 'inline',
      tokenizer(text) {
        const match = REFERENCE.exec(text);
        if (!match) return undefined;
        return { type: 'footnoteReference', raw: match[0], label: match[1]! };
      },
      renderer: (token) => `<sup>${escapeHtml((token as NoteToken).label)}</sup>`,
    },
  ],
};
