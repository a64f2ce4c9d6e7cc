/**
 * Markdown to HTML. What comes out still goes through the cleaner (`clean.ts`); here, too, nothing
 * of the model's own HTML survives: it is shown as the text it is.
 */

import { Marked, type Token } from 'marked';
import { escapeHtml, mathSyntax } from './math_syntax';

const marked = new Marked(mathSyntax, {
  gfm: true,
  // A line break in an answer is meant as one: verses, addresses, short lists.
  breaks: true,
  renderer: {
    html: ({ text }) => escapeHtml(text),
    code: ({ text, lang }) =>
      `<pre data-language="${escapeHtml(languageName(lang))}"><code>${escapeHtml(text)}</code></pre>\n`,
    link({ href, tokens }) {
      const label = this.parser.parseInline(tokens);
      return isWebAddress(href) ? anchor(href, label) : label;
    },
    // Pictures are never fetched: that would tell a stranger's server who reads this. The person
    // sees the whole address and decides.
    image: ({ href, text }) => {
      const label = escapeHtml(text ? `${text} (${href})` : href);
      return isWebAddress(href) ? anchor(href, label) : label;
    },
    checkbox: ({ checked }) => (checked ? '☑ ' : '☐ '),
    table(token) {
      const head = token.header.map((cell) => this.tablecell(cell)).join('');
      const rows = token.rows.map(
        (row) => `<tr>${row.map((cell) => this.tablecell(cell)).join('')}</tr>`,
      );
      return `<div data-table=""><table><thead><tr>${head}</tr></thead><tbody>${rows.join('')}</tbody></table></div>\n`;
    },
    tablecell({ tokens, header, align }) {
      const tag = header ? 'th' : 'td';
      const side = align ? ` data-align="${align}"` : '';
      return `<${tag}${side}>${this.parser.parseInline(tokens)}</${tag}>`;
    },
  },
});

export function lex(markdown: string): Token[] {
  return marked.lexer(markdown);
}

export function toHtml(tokens: Token[]): string {
  return marked.parser(tokens);
}

/** The first word after the fence, when it looks like the name of a language. */
export function languageName(info: string | undefined): string {
  return /^[\w+#.-]{1,20}(?=\s|$)/.exec(info ?? '')?.[0] ?? '';
}

function anchor(href: string, label: string): string {
  return `<a href="${escapeHtml(href)}">${label}</a>`;
}

function isWebAddress(href: string): boolean {
  return /^(?:https?:\/\/|mailto:)/i.test(href);
}
