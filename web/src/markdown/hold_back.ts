/**
 * Decides how much of a growing block is drawn. Marks whose meaning depends on the next words are
 * held back, and open marks are closed. Otherwise `|`, `$$` and `**` would be visible for some
 * frames, and the lines below would jump when they disappear.
 */

import { openEnvironment, openMath } from './math_syntax';
import { BEGINNING_OF_TAG, closingTags } from './tags';
import { closed } from './unclosed';

/** An open formula in a line holds back at most this many characters. */
const LONGEST_AWAITED = 400;
/** An environment has rows; its beginning can hardly be anything else. */
const LONGEST_ENVIRONMENT = 4_000;
/** Without a TeX command it holds back at most this many: it may be money. */
const LONGEST_PLAIN = 60;
/**
 * A last line that may become a list, a heading, a fence, a rule, a quote, a table or a footnote.
 */
const MARKER_LINE =
  /(?:^|\n)[ \t>]*(?:[-*+>#=|\\]+|:?-*[-:|][-:| \t]*|(?<!\$)\$|[`~]{1,2}|\d{1,9}[.)]?|(?:[-*+]|\d{1,9}[.)])[ \t]+\[[ xX]?\]?|\[\^[^\]\n]*\]?:?)[ \t]*$/;
/** The first two lines of a table, at the end: `withoutTableHead` has let them pass. */
const TABLE_HEAD = /(?:^|\n)[ \t>]*\|[^\n]*\n[ \t>]*[|:-][|:\- \t]*$/;
/** Marks at the end that may open something, or close it; also the beginning of an environment. */
const MARKS =
  /(?:\\(?:b|be|beg|begi|begin|begin\{\w*\*?)|\*{1,3}|_{1,3}|(?<!~)~{1,2}|(?<!`)`{1,2}|!?\[|&#?\w{0,8}|\\)$/;

const OPEN_MATH_FENCE = /^ {0,3}(?:`{3,}|~{3,})[ \t]*math\b/;

/** The part of a growing block that can be drawn, with everything closed that it opens. */
export function drawable(raw: string): string {
  if (hasOpenFence(raw)) return OPEN_MATH_FENCE.test(raw) ? '' : drawableCode(raw);
  return withClosing(withoutMarks(withoutTableHead(withoutOpenMath(raw))));
}

/** The same of a row of a table, which begins like the head of one. */
export function drawableRow(raw: string): string {
  return withClosing(withoutMarks(withoutOpenMath(raw)));
}

function withClosing(shown: string): string {
  const mended = closed(shown);
  return mended + closingTags(mended);
}

/** Code without a line that may become its closing fence. */
export function drawableCode(text: string): string {
  return text.replace(/(?:^|\n) {0,3}(?:`+|~+)$/, '');
}

function hasOpenFence(raw: string): boolean {
  const fences = raw.match(/^[ \t>]*(?:[-*+]|\d{1,9}[.)])?[ \t]*(?:`{3,}|~{3,})/gm);
  return fences !== null && fences.length % 2 === 1;
}

function withoutOpenMath(raw: string): string {
  const block = raw.search(
    /(?<=^|\n)[ \t]*(?:\$\$|\\\[|\\begin\{)(?![\s\S]*\n[ \t]*(?:\$\$|\\\[|\\begin\{))/,
  );
  if (block !== -1 && openMath(raw.slice(block).trimStart()) !== undefined)
    return raw.slice(0, block);
  const line = raw.slice(raw.lastIndexOf('\n\n') + 1);
  const opened = [
    [openDollar(line), LONGEST_AWAITED],
    [openBracket(line, '\\(', '\\)'), LONGEST_AWAITED],
    [openBracket(line, '\\[', '\\]'), LONGEST_AWAITED],
    [openEnvironment(withoutCode(line)), LONGEST_ENVIRONMENT],
  ] as const;
  const at = opened
    .filter(([index, longest]) => index !== -1 && line.length - index < longest)
    .map(([index]) => index);
  return at.length === 0 ? raw : raw.slice(0, raw.length - line.length + Math.min(...at));
}

/** The line with spaces in place of code, also of code that is still open. */
function withoutCode(line: string): string {
  return line.replace(/`[^`\n]*(?:`|$)/g, (code) => ' '.repeat(code.length));
}

/** Index of a dollar that seems to open a formula; most other dollars are money. */
function openDollar(line: string): number {
  const formula = /\$(?![\s$])[^$\n]+?(?<!\s)\$|\$[ \t][^$\n]+[ \t]\$/g;
  const rest = withoutCode(line).replace(formula, ({ length }) => ' '.repeat(length));
  const match = /(?<![\\\w$])\$(?![\n$])[^$\n]*$/.exec(rest);
  if (!match) return -1;
  const isTex = /\\[a-z]/i.test(match[0]);
  const isPlain = match[0].length < LONGEST_PLAIN && /[\^_{}=<>]/.test(match[0]);
  return isTex || isPlain ? match.index : -1;
}

function openBracket(line: string, open: string, close: string): number {
  const at = line.lastIndexOf(open);
  return at !== -1 && at > line.lastIndexOf(close) && line[at - 1] !== '\\' ? at : -1;
}

/** Holds back the first line of a table: only its second line shows that it is one. */
function withoutTableHead(raw: string): string {
  const lines = raw.trimEnd().split('\n');
  let first = lines.length;
  while (first > 0 && /^\s*\|/.test(lines[first - 1]!)) first -= 1;
  const [head, delimiter, ...rows] = lines.slice(first);
  const waits =
    head !== undefined && rows.length === 0 && (delimiter === undefined || isHalf(delimiter, head));
  return waits ? lines.slice(0, first).join('\n') : raw;
}

function isHalf(delimiter: string, head: string): boolean {
  if (!/^[\s|:-]*$/.test(delimiter)) return false;
  const cells = (line: string) =>
    line
      .trim()
      .replace(/^\||\|$/g, '')
      .split('|');
  const whole = cells(delimiter).every((cell) => /^\s*:?-+:?\s*$/.test(cell));
  return !whole || cells(delimiter).length < cells(head).length;
}

function withoutMarks(raw: string): string {
  const line = TABLE_HEAD.test(raw) ? null : MARKER_LINE.exec(raw);
  let shown = (line ? raw.slice(0, line.index) : raw).trimEnd();
  for (let before = ''; before !== shown;) {
    before = shown;
    shown = shown.replace(BEGINNING_OF_TAG, '').replace(MARKS, '').trimEnd();
  }
  return shown;
}
