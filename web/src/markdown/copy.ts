/**
 * Copies a selection with formulas as text in which each is its source, `$t = 30$`. KaTeX draws a
 * formula twice, for the eye and for screen readers, and a plain copy has both and neither. What
 * cannot be selected, such as the name of a language above code, is left out, as the browser does.
 */

import { portableHtml } from '../clipboard';

/** Marks what is left out, while a selection is being cloned. */
const LEFT_OUT = 'data-left-out';

export function copyWithSources(event: ClipboardEvent): void {
  const selection = document.getSelection();
  if (!selection || selection.isCollapsed || !event.clipboardData) return;
  const range = selection.getRangeAt(0).cloneRange();
  // A formula is copied as a whole or not at all.
  const [first, last] = [formulaAt(range.startContainer), formulaAt(range.endContainer)];
  if (first) range.setStartBefore(first);
  if (last) range.setEndAfter(last);
  if (!range.cloneContents().querySelector('.katex')) return;
  const copied = document.createElement('div');
  copied.append(cloneSelectable(range));
  // Other programs draw the formulas themselves, if they can.
  event.clipboardData.setData('text/html', portableHtml(copied));
  for (const formula of copied.querySelectorAll('.katex')) replace(formula);
  event.clipboardData.setData('text/plain', textOf(copied));
  event.preventDefault();
}

function formulaAt(node: Node): Element | null {
  const element = node instanceof Element ? node : node.parentElement;
  return element?.closest('[data-math]') ?? null;
}

/** Only in its place does an element have the styles that say whether it can be selected. */
function cloneSelectable(range: Range): DocumentFragment {
  const left = unselectable(range);
  for (const element of left) element.setAttribute(LEFT_OUT, '');
  const copied = range.cloneContents();
  for (const element of left) element.removeAttribute(LEFT_OUT);
  for (const element of copied.querySelectorAll(`[${LEFT_OUT}]`)) element.remove();
  return copied;
}

function unselectable(range: Range): Element[] {
  const found: Element[] = [];
  const walker = document.createTreeWalker(
    range.commonAncestorContainer,
    NodeFilter.SHOW_ELEMENT,
    (node) => {
      // The many elements of a formula are taken as one.
      if (!range.intersectsNode(node) || (node as Element).matches('.katex'))
        return NodeFilter.FILTER_REJECT;
      if (getComputedStyle(node as Element).userSelect !== 'none') return NodeFilter.FILTER_ACCEPT;
      found.push(node as Element);
      return NodeFilter.FILTER_REJECT;
    },
  );
  while (walker.nextNode());
  return found;
}

function replace(formula: Element): void {
  const tex = formula.querySelector('annotation')?.textContent ?? '';
  const isDisplay = formula.parentElement?.matches('.katex-display') === true;
  const dollars = isDisplay ? '$$' : '$';
  formula.replaceWith(`${dollars}${tex}${dollars}`);
}

/** The text as it would look. Only nodes that are laid out have line breaks and table tabs. */
function textOf(place: HTMLElement): string {
  Object.assign(place.style, { position: 'fixed', left: '-10000px', whiteSpace: 'normal' });
  document.body.append(place);
  const text = place.innerText;
  place.remove();
  return text;
}
