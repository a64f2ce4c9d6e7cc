/**
 * Turns markdown into HTML. The cleaner (`clean.ts`) checks the result once more. Of HTML that the
 * model wrote, only a few tags without attributes survive (`tags.ts`); the rest is shown as text.
 */

import { Marked, type Token, Tokenizer, type Tokens } from 'marked';
import { addressEnd, isWebAddress } from './addresses';
import { AnswerLexer, type Place } from './emphasis';
import { footnoteSyntax } from './footnotes';
import { languageName } from './language_names';
import { displayMath, escapeHtml, mathSyntax } from './math_syntax';
import { References } from './references';
import { escapePipes } from './tables';
import { tagSyntax } from './tags';

const marked: Marked = new Marked(mathSyntax, tagSyntax, footnoteSyntax, {
  gfm: true,
  // A line break in an answer is meant as one: verses, addresses, short lists.
  breaks: true,
  tokenizer: {
    // HTML makes no blocks: text inside it is markdown too, and keeps its line breaks.
    html: () => undefined,
    // `2*3*4` is a product.
    emStrong(text, _masked, before = '') {
      return /^\*\d/.test(text) && /\d$/.test(before) ? undefined : false;
    },
    tag(text) {
      const raw = this.rules.inline.tag.exec(text)?.[0];
      if (raw === undefined) return undefined;
      return { type: 'html', raw, text: raw, block: false, inLink: false, inRawBlock: false };
    },
    def(text) {
      const definition = Tokenizer.prototype.def.call(this, text);
      const lexer = this.lexer as AnswerLexer;
      const isLast = definition?.raw.length === text.length && !text.endsWith('\n');
      if (isLast && lexer.growing) lexer.halfDefined = definition.tag;
      return definition;
    },
    lheading(text) {
      const raw = this.rules.block.lheading.exec(text)?.[0];
      if (raw === undefined) return undefined;
      // A formula within the lines above a rule makes a block of its own.
      const starts = marked.defaults.extensions?.startBlock ?? [];
      const isCut = starts.some((start) => {
        const at = start.call({ lexer: this.lexer }, raw.slice(1));
        return typeof at === 'number' && at >= 0;
      });
      return isCut ? undefined : false;
    },
    table(text) {
      const escaped = escapePipes(text, (row) => (this.lexer as AnswerLexer).isAtEnd(row));
      const table = Tokenizer.prototype.table.call(this, escaped);
      if (table) table.raw = text.split('\n', table.raw.split('\n').length).join('\n');
      return table;
    },
    reflink(text) {
      const { definitions } = this.lexer as AnswerLexer;
      return Tokenizer.prototype.reflink.call(this, text, definitions);
    },
    url(text) {
      const end = addressEnd(text);
      return end === 0 ? undefined : Tokenizer.prototype.url.call(this, text.slice(0, end));
    },
  },
  renderer: {
    html: ({ text }) => escapeHtml(text),
    code: (token) => {
      const { text, lang } = token;
      const language = languageName(lang);
      const open = isClosedFence(token) ? '' : ' data-open=""';
      if (language === 'math' && open === '') return displayMath(text);
      return `<pre data-language="${escapeHtml(language)}"${open}><code>${escapeHtml(text)}</code></pre>\n`;
    },
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
    list(token) {
      const items = token.items.map((item) => this.listitem(item)).join('');
      const { open, close } = listShell(token);
      return `${open}${items}${close}\n`;
    },
    listitem(item) {
      const spaced = isSpaced(item.tokens);
      const blocks = item.tokens.map((token) => {
        if (token.type !== 'text' && token.type !== 'paragraph') return this.parser.parse([token]);
        const text = this.parser.parseInline((token as Tokens.Text).tokens ?? [token]);
        return spaced ? `<p>${text}</p>` : text;
      });
      return `<li${item.task ? ' data-task=""' : ''}>${blocks.join('')}</li>`;
    },
    // The page puts a real checkbox in its place; the cleaner lets no input pass.
    checkbox: ({ checked }) =>
      `<span data-task="${checked ? 'done' : 'open'}">${checked ? '☑' : '☐'}</span> `,
    table(token) {
      const rows = token.rows.map((row) => tableRow(row));
      const { open, close } = tableShell(token);
      return `${open}${rows.join('')}${close}\n`;
    },
  },
});

/** The HTML before and after the pieces of a list or a table. */
export interface Shell {
  readonly open: string;
  readonly close: string;
}

export function lex(markdown: string, place: Partial<Place> = {}): Token[] {
  const whole = { references: new References(), growing: false, ...place };
  return new AnswerLexer({ ...marked.defaults }, whole).lex(markdown);
}

export function toHtml(tokens: Token[]): string {
  return marked.parser(tokens);
}

export function listShell({ ordered, start }: Tokens.List): Shell {
  const from = ordered && start !== 1 ? ` start="${Number(start)}"` : '';
  return ordered ? { open: `<ol${from}>`, close: '</ol>' } : { open: '<ul>', close: '</ul>' };
}

export function listItem(list: Tokens.List, item: Tokens.ListItem): string {
  const { open, close } = listShell(list);
  return toHtml([{ ...list, items: [item] }])
    .trimEnd()
    .slice(open.length, -close.length);
}

export function tableShell({ header }: Tokens.Table): Shell {
  const head = header.map((cell) => tableCell(cell)).join('');
  return {
    open: `<div data-table=""><table><thead><tr>${head}</tr></thead><tbody>`,
    close: '</tbody></table></div>',
  };
}

export function tableRow(row: readonly Tokens.TableCell[]): string {
  return `<tr>${row.map((cell) => tableCell(cell)).join('')}</tr>`;
}

/** Whether the closing fence of a block of code has come; indented code needs none. */
export function isClosedFence({ raw, codeBlockStyle }: Tokens.Code): boolean {
  if (codeBlockStyle === 'indented') return true;
  const fence = /^ {0,3}(`{3,}|~{3,})/.exec(raw)?.[1] ?? '```';
  return new RegExp(`\\n {0,3}${fence[0]}{${fence.length},}[ \\t]*\\n*$`).test(raw);
}

function tableCell({ tokens, header, align }: Tokens.TableCell): string {
  const tag = header ? 'th' : 'td';
  const side = align ? ` data-align="${align}"` : '';
  return `<${tag}${side}>${marked.Parser.parseInline(tokens, marked.defaults)}</${tag}>`;
}

/** Blank lines between its blocks give an item paragraphs; those between two items do not. */
function isSpaced(tokens: readonly Token[]): boolean {
  const last = tokens.findLastIndex(({ type }) => type !== 'space');
  return tokens.slice(0, last).some(({ type, raw }) => type === 'space' && /\n.*\n/.test(raw));
}

function anchor(href: string, label: string): string {
  return `<a href="${escapeHtml(href)}">${label}</a>`;
}
