/**
 * Copies a selection with formulas as text in which each is its source, `$t = 30$`. KaTeX draws a
 * formula twice, for the eye and for screen readers, and a plain copy has both and neither.
 */

export function copyWithSources(event: ClipboardEvent): void {
  const selection = document.getSelection();
  if (!selection || selection.isCollapsed || !event.clipboardData) return;
  const range = selection.getRangeAt(0).cloneRange();
  // A formula is copied as a whole or not at all.
  const [first, last] = [formulaAt(range.startContainer), formulaAt(range.endContainer)];
  if (first) range.setStartBefore(first);
  if (last) range.setEndAfter(last);
  const copied = range.cloneContents();
  const formulas = [...copied.querySelectorAll('.katex')];
  if (formulas.length === 0) return;
  formulas.forEach((formula) => replace(formula));
  event.clipboardData.setData('text/plain', textOf(copied));
  event.preventDefault();
}

function formulaAt(node: Node): Element | null {
  const element = node instanceof Element ? node : node.parentElement;
  return element?.closest('[data-math]') ?? null;
}

function replace(formula: Element): void {
  const tex = formula.querySelector('annotation')?.textContent ?? '';
  const isDisplay = formula.parentElement?.matches('.katex-display') === true;
  const dollars = isDisplay ? '$$' : '$';
  formula.replaceWith(`${dollars}${tex}${dollars}`);
}

/** The text as it would look. Only nodes that are laid out have line breaks and table tabs. */
function textOf(nodes: DocumentFragment): string {
  const place = document.createElement('div');
  Object.assign(place.style, { position: 'fixed', left: '-10000px', whiteSpace: 'normal' });
  place.append(nodes);
  document.body.append(place);
  const text = place.innerText;
  place.remove();
  return text;
}
