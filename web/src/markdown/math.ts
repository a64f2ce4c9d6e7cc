/**
 * Draws formulas; KaTeX is fetched when the first one appears.
 *
 * `katex.render` builds nodes and sets styles on them one by one, which the content security policy
 * allows; its error display would write a style attribute, so errors are caught and the source stays.
 */

import type katex from 'katex';
import type { KatexOptions } from 'katex';

let render: typeof katex.render | null = null;
const drawn = new Map<string, Node>();
/** Enough for the formulas of one answer: its open block is drawn again in every frame. */
const MOST_KEPT = 200;

/** Draws every formula below `root`: at once when KaTeX is here, otherwise as soon as it is. */
export function drawMath(root: HTMLElement): void {
  const places = [...root.querySelectorAll<HTMLElement>('[data-math]')];
  if (places.length === 0) return;
  if (render) return places.forEach(draw);
  void import('./math_katex')
    .then(({ load }) => load())
    .then((loaded) => {
      render = loaded;
      places.filter((place) => place.isConnected).forEach(draw);
    });
}

function draw(place: HTMLElement): void {
  const tex = place.textContent ?? '';
  const display = place.dataset.math === 'display';
  const key = `${display} ${tex}`;
  const node = drawn.get(key) ?? build(tex, display);
  if (!node) return;
  keep(key, node);
  place.replaceChildren(node.cloneNode(true));
}

function build(tex: string, displayMode: boolean): Node | null {
  const options: KatexOptions = {
    displayMode,
    throwOnError: true,
    strict: 'ignore',
    trust: false,
    // A hostile formula can neither grow without end nor cover the page.
    maxExpand: 200,
    maxSize: 10,
  };
  const place = document.createElement('span');
  try {
    render?.(tex, place, options);
    return place;
  } catch {
    return null;
  }
}

function keep(key: string, node: Node): void {
  drawn.delete(key);
  drawn.set(key, node);
  const oldest = drawn.keys().next();
  if (drawn.size > MOST_KEPT && !oldest.done) drawn.delete(oldest.value);
}
