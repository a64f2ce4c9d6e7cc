/** Formulas in markdown: `$…$` and `\(…\)` in a line, `$$…$$` and `\[…\]` as a block. */

import type { MarkedExtension, Tokens } from 'marked';

export interface MathToken extends Tokens.Generic {
  readonly tex: string;
  readonly display: boolean;
}

const BLOCK = /^ {0,3}(?:\$\$([\s\S]+?)\$\$|\\\[([\s\S]+?)\\\])[ \t]*(?:\n|$)/;
/** A block formula whose end has not come yet; a blank line ends the hope for it. */
const OPEN_BLOCK = /^ {0,3}(?:\$\$|\\\[)(?:(?!\n[ \t]*\n)[\s\S])*$/;
const INLINE_DISPLAY = /^(?:\$\$([^$]+?)\$\$|\\\[([\s\S]+?)\\\])/;
/** No space inside the dollars and no digit after them: "$5 and $10" are prices. */
const INLINE = /^(?:\$(?![\s$])((?:\\.|[^$\\\n])+?)(?<!\s)\$(?![\d$])|\\\(([\s\S]+?)\\\))/;

export const mathSyntax: MarkedExtension = {
  extensions: [
    {
      name: 'mathBlock',
      level: 'block',
      start: (text) => text.match(/(?:^|\n) {0,3}(?:\$\$|\\\[)/)?.index,
      tokenizer(text) {
        const match = BLOCK.exec(text);
        if (match) return math('mathBlock', match, true);
        const open = OPEN_BLOCK.exec(text);
        return open ? { type: 'text', raw: open[0], text: open[0], escaped: false } : undefined;
      },
      renderer: (token) =>
        `<div data-math="display">${escapeHtml((token as MathToken).tex)}</div>\n`,
    },
    {
      name: 'mathInline',
      level: 'inline',
      start: (text) => text.match(/\$|\\[([]/)?.index,
      tokenizer(text) {
        const display = INLINE_DISPLAY.exec(text);
        if (display) return math('mathInline', display, true);
        const inline = INLINE.exec(text);
        return inline ? math('mathInline', inline, false) : undefined;
      },
      renderer(token) {
        const { tex, display } = token as MathToken;
        return `<span data-math="${display ? 'display' : 'inline'}">${escapeHtml(tex)}</span>`;
      },
    },
  ],
};

function math(type: string, match: RegExpExecArray, display: boolean): MathToken {
  return { type, raw: match[0], tex: (match[1] ?? match[2] ?? '').trim(), display };
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
