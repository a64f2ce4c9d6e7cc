/**
 * Formulas in markdown: `$…$` and `\(…\)` in a line, `$$…$$`, `\[…\]` and `\begin{…}` as a block,
 * or within a line.
 *
 * Dollars also stand for money and for variables of a shell, and escaped brackets for brackets:
 * the text between them must look like a formula, and the text around them must allow one.
 */

import type { MarkedExtension, Tokens } from 'marked';
import type { AnswerLexer } from './emphasis';

export interface MathToken extends Tokens.Generic {
  readonly tex: string;
  readonly display: boolean;
}

/** Longer than any formula. The search for an end stops after this many characters. */
const LONGEST = 4_000;
/** The environments that stand for themselves, without dollars around them. */
const ENVIRONMENT =
  '(?:align|alignat|gather|equation|multline|eqnarray|flalign|aligned|alignedat|gathered|split|' +
  '[dr]{0,2}cases|d?array|subarray|matrix|[pbvBV]matrix|smallmatrix|CD)\\*?';

/** The beginnings and ends of block formulas; `\k<name>` is the environment. */
const PAIRS = [
  ['\\$\\$', '\\$\\$'],
  ['\\\\\\[', '\\\\\\]'],
  [`\\\\begin\\{(?<name>${ENVIRONMENT})\\}`, '\\\\end\\{\\k<name>\\}'],
] as const;

/** A blank line ends the hope for an end, but for those right inside of the signs. */
function bodyUntil(end: string, halfEnd = end): string {
  return `\\s*(?:(?!${end}|\\n[ \\t]*\\n\\s*(?!${end}|${halfEnd})\\S)[\\s\\S]){0,${LONGEST}}`;
}

/** What may become the end of a block formula when more text has come. */
const HALF_END = '(?:\\$|\\\\(?:e|en|end|end\\{\\w*\\*?)?)$';

const BLOCKS = PAIRS.map(
  ([start, end]) => new RegExp(`^ {0,3}${start}(${bodyUntil(end)})${end}[ \\t]*(?:\\n|$)`),
);
const OPEN_BLOCKS = PAIRS.map(
  ([start, end]) => new RegExp(`^ {0,3}${start}${bodyUntil(end, HALF_END)}$`),
);
/** Looked for behind the first character of a text: only there a line begins. */
const BLOCK_START = new RegExp(`\\n {0,3}(?:\\$\\$|\\\\\\[|\\\\begin\\{${ENVIRONMENT}\\})`);
const DISPLAY_ENVIRONMENT =
  /\\begin\{(?:align|alignat|gather|equation|split|multline|flalign|CD)\*?\}/;
/**
 * An environment in a line, whose rows end with backslashes that mean something else in markdown.
 */
const INLINE_ENVIRONMENT = new RegExp(
  `^\\\\begin\\{(?<name>${ENVIRONMENT})\\}[\\s\\S]{0,${LONGEST}}?\\\\end\\{\\k<name>\\}`,
);
const OPEN_ENVIRONMENT = new RegExp(
  `(?<!\\\\)(?:\\\\\\\\)*\\\\begin\\{(?<name>${ENVIRONMENT})\\}` +
    `(?![\\s\\S]{0,${LONGEST}}?\\\\end\\{\\k<name>\\})`,
);

const DOLLARS = new RegExp(`^\\$\\$([^$]{1,${LONGEST}}?)\\$\\$(?!\\$)`);
const DOLLAR = new RegExp(
  `^\\$(?![\\s$])((?:\\\\.|[^$\\\\\\n]){1,${LONGEST}}?)(?<!\\s)\\$(?!\\$)`,
  'u',
);
/** The same with a space on either side, as some models write every formula. */
const SPACED_DOLLAR = new RegExp(
  `^\\$[ \\t]+((?:\\\\.|[^$\\\\\\n]){1,${LONGEST}}?)[ \\t]+\\$(?!\\$)`,
  'u',
);

export const mathSyntax: MarkedExtension = {
  extensions: [
    {
      name: 'mathBlock',
      level: 'block',
      start: (text) => BLOCK_START.exec(text)?.index,
      tokenizer(text) {
        const raw = openMath(text);
        // Kept together until its end comes: what is in it may look like lists and headings.
        const lexer = this.lexer as AnswerLexer;
        if (raw !== undefined && lexer.isAtEnd(raw)) return lexer.awaitingEnd(raw);
        return blockMath(text);
      },
      renderer: (token) => displayMath((token as MathToken).tex),
    },
    {
      name: 'mathInline',
      level: 'inline',
      // A text ends before a backslash anyway.
      start: (text) => text.indexOf('$'),
      tokenizer: (text, before) => inlineMath(text, textOf(before)),
      renderer(token) {
        const { tex, display } = token as MathToken;
        return `<span data-math="${display ? 'display' : 'inline'}">${escapeHtml(tex)}</span>`;
      },
    },
  ],
};

/** A block formula at the end of a text whose end has not arrived yet. */
export function openMath(text: string): string | undefined {
  return OPEN_BLOCKS.map((open) => open.exec(text)?.[0]).find((raw) => raw !== undefined);
}

/** The environment at the beginning of `text`, with its end. */
export function environmentAt(text: string): string | undefined {
  return INLINE_ENVIRONMENT.exec(text)?.[0];
}

/** Index of an environment in a growing line whose end has not arrived yet, or -1. */
export function openEnvironment(line: string): number {
  const match = OPEN_ENVIRONMENT.exec(line);
  return match ? match.index + match[0].indexOf('\\begin') : -1;
}

/**
 * How long the formula at the beginning of `text` is, if there is one; `before` stands before it.
 */
export function formulaLength(text: string, before: string): number {
  return inlineMath(text, before)?.raw.length ?? 0;
}

function inlineMath(text: string, before: string): MathToken | undefined {
  if (text.startsWith('$')) return dollars(text, before);
  if (text.startsWith('\\begin')) return environment(text, before);
  return /^\\[([]/.test(text) ? brackets(text, before) : undefined;
}

function blockMath(text: string): MathToken | undefined {
  for (const block of BLOCKS) {
    const match = block.exec(text);
    if (!match) continue;
    const raw = match[0];
    // An environment is handed on whole: KaTeX reads its name.
    const tex = match.groups?.name === undefined ? match[1]! : raw;
    return isFormula(tex) ? math('mathBlock', raw, tex, true) : undefined;
  }
  return undefined;
}

export function displayMath(tex: string): string {
  return `<div data-math="display">${escapeHtml(tex)}</div>\n`;
}

function dollars(text: string, before: string): MathToken | undefined {
  const display = DOLLARS.exec(text);
  if (display)
    return isFormula(display[1]!) ? math('mathInline', display[0], display[1]!, true) : undefined;
  const match = DOLLAR.exec(text) ?? SPACED_DOLLAR.exec(text);
  if (!match || !mayOpen(before) || !mayClose(match[1]!, text.slice(match[0].length)))
    return undefined;
  const [raw, tex] = match as unknown as [string, string];
  const looksRight = /^\$\s/.test(raw) ? isSpacedFormula(tex, before) : isFormula(tex);
  return looksRight ? math('mathInline', raw, tex, DISPLAY_ENVIRONMENT.test(tex)) : undefined;
}

function brackets(text: string, before: string): MathToken | undefined {
  const end = text.indexOf(text.startsWith('\\(') ? '\\)' : '\\]', 2);
  if (end === -1 || end > LONGEST) return undefined;
  const [raw, tex] = [text.slice(0, end + 2), text.slice(2, end)];
  if (!isFormula(tex)) return undefined;
  if (raw.startsWith('\\(')) return math('mathInline', raw, tex, DISPLAY_ENVIRONMENT.test(tex));
  // Numbers in brackets are citations; and a formula within a sentence does not break it.
  if (/^[\d\s,;–-]+$/.test(tex) || /^\(/.test(text.slice(raw.length))) return undefined;
  const display = isAlone(before, text.slice(raw.length)) || DISPLAY_ENVIRONMENT.test(tex);
  return math('mathInline', raw, tex, display);
}

function environment(text: string, before: string): MathToken | undefined {
  const raw = environmentAt(text);
  if (raw === undefined) return undefined;
  const display = isAlone(before, text.slice(raw.length)) || DISPLAY_ENVIRONMENT.test(raw);
  return math('mathInline', raw, raw, display);
}

/** Whether a formula has its lines to itself. */
function isAlone(before: string, after: string): boolean {
  return /(?:^|\n)[ \t]*$/.test(before) && /^[ \t]*(?:\n|$)/.test(after);
}

/** Beside letters and digits a dollar is money or a variable: `US$5`, `5$`, `a$b`. */
function mayOpen(before: string): boolean {
  return !/[A-Za-z\d$]$/.test(before);
}

function mayClose(tex: string, after: string): boolean {
  if (/^[\d{]/.test(after) || (after.startsWith('(') && tex.startsWith('('))) return false;
  // `$n$th` and `$x$s` are formulas, `$HOME$PATH` is none.
  return !/^[A-Za-z_]/.test(after) || /^(?:th|st|nd|rd|s)\b/.test(after);
}

/** The last words before a formula. */
function textOf(before: readonly Tokens.Generic[]): string {
  return before.at(-1)?.raw ?? '';
}

/** Whether the text between the signs is a formula, not money, a path or a sentence. */
function isFormula(tex: string): boolean {
  const inner = tex.trim();
  if (/\\[A-Za-z{|,;! ]/.test(inner)) return true;
  if (/^[-+*/=<>±×÷≠≤≥≈∈∪∩∞]$/.test(inner)) return true;
  if (!/[\p{L}\p{N}]/u.test(inner)) return false;
  // `$|x|$` is an absolute value, `$a |$` the beginning of a command.
  if (inner.endsWith('|') && count(inner, /\|/g) % 2 === 1) return false;
  if (/[=<([{,:;"&/]$/.test(inner) || /(?<![\^_{])[+\-*]$/.test(inner)) return false;
  if (inner.includes('"') || isUnbalanced(inner)) return false;
  if (/^\d[^]*[，。；、！？：（）]/.test(inner)) return false;
  if (/[\^_={}<>]/.test(inner)) return true;
  // Without any sign of a formula: no words, and nothing in Chinese, Japanese or Korean.
  return (
    !/[\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{scx=Hang}]/u.test(inner) &&
    !/(?:^|\s)\p{L}{2,}\s|\s\p{L}{2,}(?:\s|$)/u.test(inner)
  );
}

/** Between dollars with spaces there may also be money or a command: `$ 5, x and $ 6`, `$ ls $`. */
function isSpacedFormula(tex: string, before: string): boolean {
  if (/\\[A-Za-z{|]|[\^_]/.test(tex)) return isFormula(tex);
  if (/\d\s*$/.test(before)) return false;
  if (/^-?\d+(?:\.\d+)?$/.test(tex)) return true;
  if (/[-+*/=<>,;:]$/.test(tex) || !/^[A-Za-zΑ-ω\d\s+\-*/=<>()|.,'!:≤≥≠]+$/.test(tex)) return false;
  const isSum = /[+\-*/=<>≤≥≠]/.test(tex) || /^[A-Za-z]\s*(?:,\s*[A-Za-z]\s*)+$/.test(tex);
  const isName = /^(?:[A-Z]{1,4}|[A-Za-zΑ-ω])'*!?(?:\(.*\))?$|^\|.*\|$/.test(tex);
  return (isSum || isName) && !/[a-z]{3}/.test(tex) && isFormula(tex);
}

function isUnbalanced(text: string): boolean {
  return count(text, /[([{]/g) !== count(text, /[)\]}]/g);
}

function count(text: string, signs: RegExp): number {
  return text.match(signs)?.length ?? 0;
}

function math(type: string, raw: string, tex: string, display: boolean): MathToken {
  return { type, raw, tex: tex.trim(), display };
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
