/**
 * Pipes within the cells of a table.
 *
 * By the rules of GitHub every pipe cuts its row, also in code and in a formula, and cells for
 * which there is no column are dropped. Models write `| absolute value | $|x|$ |` all the same. So
 * a row with more cells than columns is cut only outside code and formulas, and the last cell takes
 * what is left: no word of an answer is lost.
 */

import { formulaLength } from './math_syntax';

/** The first two lines of a table. */
const HEAD = /^ *[^\n ].*\n {0,3}((?=.*[|:])\|? *:?-[-:| ]*)(?:\n|$)/;

/** The text of a table with a backslash before each pipe that cuts no cell; other text as it is. */
export function escapePipes(text: string, isAtEnd: (row: string) => boolean): string {
  const delimiters = HEAD.exec(text)?.[1];
  if (delimiters === undefined) return text;
  const columns = cutsOf(delimiters).length + 1;
  const end = /\n *(?:\n|$)/.exec(text)?.index ?? text.length;
  const [head, line, ...rows] = text.slice(0, end).split('\n') as [string, string, ...string[]];
  const mended = rows.map((row, index) => {
    const isOpen = end === text.length && index === rows.length - 1 && isAtEnd(row);
    return mendedRow(row, columns, isOpen);
  });
  return [mendedHead(head, columns), line, ...mended].join('\n') + text.slice(end);
}

/** A head whose cells are not as many as the columns makes no table. */
function mendedHead(head: string, columns: number): string {
  const cuts = cutsOf(head);
  const outside = outsideCells(head, cuts);
  return cuts.length >= columns && outside.length === columns - 1
    ? kept(head, cuts, outside)
    : head;
}

/** How many cells an open row will have is not known yet. */
function mendedRow(row: string, columns: number, isOpen: boolean): string {
  const cuts = cutsOf(row);
  const hasMore = /[^\s|]/.test(row.slice(cuts[columns - 1] ?? row.length));
  if (!hasMore && !isOpen) return row;
  const outside = outsideCells(row, cuts);
  const wanted = isOpen || outside.length >= columns - 1 ? outside : cuts;
  return kept(row, cuts, wanted.slice(0, columns - 1));
}

/**
 * Where a row is cut by the rules: at every pipe without a backslash, but for those at its ends.
 */
function cutsOf(row: string): number[] {
  const first = row.search(/\S/);
  const last = row.trimEnd().length - 1;
  return [...row.matchAll(/\\.|\|/g)]
    .filter(([mark]) => mark === '|')
    .map(({ index }) => index)
    .filter((at) => at !== first && at !== last);
}

/** The cuts that lie neither in code nor in a formula. */
function outsideCells(row: string, cuts: readonly number[]): number[] {
  const spans: [from: number, to: number][] = [];
  for (let at = 0; at < row.length;) {
    const length = codeLength(row.slice(at)) || formulaLength(row.slice(at), row[at - 1] ?? '');
    if (length > 0) spans.push([at, at + length]);
    at += length || (row[at] === '\\' ? 2 : /^`*/.exec(row.slice(at))![0].length || 1);
  }
  return cuts.filter((cut) => !spans.some(([from, to]) => from < cut && cut < to));
}

function codeLength(text: string): number {
  return /^(`+)(?!`).*?(?<!`)\1(?!`)/.exec(text)?.[0].length ?? 0;
}

/** A row with a backslash before all of `cuts` that are not `wanted`. */
function kept(row: string, cuts: readonly number[], wanted: readonly number[]): string {
  const unwanted = cuts.filter((cut) => !wanted.includes(cut));
  return unwanted.reduceRight((text, at) => `${text.slice(0, at)}\\${text.slice(at)}`, row);
}
