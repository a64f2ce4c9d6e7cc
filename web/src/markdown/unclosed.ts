/**
 * Closes the marks that are open at the end of a growing text, so that `**bo` is bold already.
 *
 * It reads the last block only, as the parser will: code and formulas hide marks, marks nest, and
 * half a link is its text.
 */

import { CJK } from './emphasis';
import { environmentAt } from './math_syntax';

interface Open {
  readonly mark: string;
  count: number;
}

const BLOCK_BEGINS = /^[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]|#{1,6}[ \t]|\|)/;
const DOLLARS = /\$(?![\s$])(?:\\.|[^$\\\n])+?(?<!\s)\$|\$\$[^$]+\$\$/y;
/** More open marks are not emphasis, and would nest too deep for the parser. */
const MOST_OPEN = 20;
const MARKS = /\*+|_+|~~/y;
const TICKS = /`+/y;
/** An environment is no longer than this. */
const LONGEST_FORMULA = 5_000;

export function closed(text: string): string {
  const start = lastBlock(text);
  const open: Open[] = [];
  const links: number[] = [];
  for (let at = start; at < text.length;) {
    const formula = formulaAt(text, at);
    const ticks = matchAt(TICKS, text, at);
    const marks = matchAt(MARKS, text, at);
    if (formula) at += formula.length;
    else if (text[at] === '\\') at += 2;
    else if (ticks) {
      const end = endOfCode(text, at, ticks);
      if (end === -1) return withoutHalfLink(text, links) + ticks + closing(open);
      at = end;
    } else if (marks) {
      mark(open, marks, flanks(text, at, marks.length));
      at += marks.length;
    } else if (text[at] === '[') {
      links.push(at);
      at += 1;
    } else if (text[at] === ']') {
      const from = links.pop();
      if (from !== undefined && text[at + 1] === '(') {
        const end = text.indexOf(')', at);
        if (end === -1) return withoutHalfLink(text.slice(0, at), [...links, from]) + closing(open);
        at = end;
      }
      at += 1;
    } else at += 1;
  }
  return withoutHalfLink(text, links) + closing(open);
}

/** Where the last block begins: no mark reaches beyond it. */
function lastBlock(text: string): number {
  let start = text.lastIndexOf('\n\n') + 1;
  for (let line = text.indexOf('\n', start); line !== -1; line = text.indexOf('\n', line + 1)) {
    if (BLOCK_BEGINS.test(text.slice(line + 1))) start = line + 1;
  }
  return start + (BLOCK_BEGINS.exec(text.slice(start))?.[0].length ?? 0);
}

function formulaAt(text: string, at: number): string | undefined {
  if (text.startsWith('\\begin{', at)) return environmentAt(text.slice(at, at + LONGEST_FORMULA));
  if (text[at] !== '\\') return text[at] === '$' ? matchAt(DOLLARS, text, at) : undefined;
  const end = { '(': '\\)', '[': '\\]' }[text[at + 1] ?? ''];
  const index = end === undefined ? -1 : text.indexOf(end, at + 2);
  return index === -1 ? undefined : text.slice(at, index + 2);
}

function matchAt(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0];
}

function endOfCode(text: string, at: number, ticks: string): number {
  const end = new RegExp(`(?<!\`)${ticks}(?!\`)`, 'g');
  end.lastIndex = at + ticks.length;
  return end.exec(text) ? end.lastIndex : -1;
}

interface Flanks {
  readonly opens: boolean;
  readonly closes: boolean;
}

const SPACE = /^(?:\s|$)/;
const PUNCTUATION = new RegExp(`^(?!${CJK})[\\p{P}\\p{S}]`, 'u');
const CJK_CHARACTER = new RegExp(`^${CJK}`, 'u');

/** Whether the marks at `at` can open and close, by the rules of `emphasis.ts`. */
function flanks(text: string, at: number, length: number): Flanks {
  const before = at === 0 ? '' : String.fromCodePoint(text.codePointAt(at - 1)!);
  const after = text.slice(at + length, at + length + 2);
  const [isCjkBefore, isCjkAfter] = [CJK_CHARACTER.test(before), CJK_CHARACTER.test(after)];
  const [isEdgeBefore, isEdgeAfter] = [before, after].map((side) => isEdge(side));
  const left = !SPACE.test(after) && (!PUNCTUATION.test(after) || isEdgeBefore || isCjkBefore);
  const right = !SPACE.test(before) && (!PUNCTUATION.test(before) || isEdgeAfter || isCjkAfter);
  if (text[at] !== '_')
    return isProduct(before, after) ? NEITHER : { opens: !!left, closes: !!right };
  return {
    opens: left && !/[\p{L}\p{N}]/u.test(before),
    closes: right && !/^[\p{L}\p{N}]/u.test(after),
  };
}

const NEITHER: Flanks = { opens: false, closes: false };

function isEdge(side: string): boolean {
  return SPACE.test(side) || PUNCTUATION.test(side);
}

function isProduct(before: string, after: string): boolean {
  return /\d/.test(before) && /^\d/.test(after);
}

/** Lets a run of marks close what it can, and then open. */
function mark(open: Open[], run: string, { opens, closes }: Flanks): void {
  let count = run.length;
  while (closes && count > 0) {
    const index = open.findLastIndex((one) => one.mark === run[0]);
    if (index === -1) break;
    // Runs that can do both pair by the rule of three: `**a*b` waits for two ends.
    const sum = open[index]!.count + count;
    if (opens && sum % 3 === 0 && count % 3 !== 0) break;
    const paired = Math.min(open[index]!.count, count);
    open[index]!.count -= paired;
    count -= paired;
    open.length = open[index]!.count === 0 ? index : index + 1;
  }
  if (opens && count > 0) open.push({ mark: run[0]!, count });
}

function closing(open: readonly Open[]): string {
  if (open.length > MOST_OPEN) return '';
  return open
    .map((one) => one.mark.repeat(one.count))
    .reverse()
    .join('');
}

/** A link whose address has not arrived yet is shown as its text. */
function withoutHalfLink(text: string, links: readonly number[]): string {
  const last = links.at(-1);
  if (last === undefined) return text;
  const start = text[last - 1] === '!' ? last - 1 : last;
  return text.slice(0, start) + text.slice(last + 1);
}
