/**
 * Keeps a formula on one line with the punctuation beside it. For a browser a formula is a picture,
 * and beside pictures a line may end: a full stop would begin the next one.
 */

import { sourceOf } from './math_places';

/** A longer formula must be able to end its line within it. */
const LONGEST = 40;
const OPENING = /[（「『《〈【〔“‘([{]+$/;
const CLOSING = /^[，。、；：？！）」』》〉】〕”’％,.;:?!)\]}]+/;

/** The formulas must already have their sources, and their neighbours. */
export function keepWithPunctuation(formulas: readonly HTMLElement[]): void {
  for (const formula of formulas) {
    const isShort = (sourceOf(formula) ?? '').length <= LONGEST;
    if (formula.dataset.math !== 'inline' || !isShort) continue;
    const before = cut(formula.previousSibling, OPENING);
    const after = cut(formula.nextSibling, CLOSING);
    if (before + after === '') continue;
    const whole = document.createElement('span');
    whole.className = 'unbroken';
    formula.replaceWith(whole);
    whole.append(...[before, formula, after].filter((part) => part !== ''));
  }
}

/** Takes the punctuation from a text. */
function cut(node: Node | null, punctuation: RegExp): string {
  if (!(node instanceof Text)) return '';
  const found = punctuation.exec(node.data)?.[0] ?? '';
  node.data = node.data.replace(punctuation, '');
  if (node.data === '') node.remove();
  return found;
}
