/**
 * Draws formulas; KaTeX is fetched when the first one appears, and its chemistry with the first
 * `\ce`.
 *
 * `katex.render` builds nodes and sets styles on them one by one, which the content security policy
 * allows; its error display would write a style attribute, so errors are caught and the source
 * stays.
 */

import type { KatexOptions } from 'katex';
import type { Render } from './math_katex';
import { sourceOf } from './math_places';

let render: Render | null = null;
let hasChemistry = false;
/** Formulas as they were drawn, by their source; `null` for one that cannot be drawn. */
const drawn = new Map<string, Node | null>();
/** Enough for the formulas of one answer: its open block is drawn again in every frame. */
const MOST_KEPT = 200;

/** Draws formulas in their places: at once when KaTeX is here, otherwise as soon as it is. */
export function drawMath(places: readonly HTMLElement[]): void {
  const waiting = places.filter((place) => place.isConnected && !draw(place));
  if (waiting.length === 0) return;
  const needsChemistry = waiting.some(isChemistry);
  void import('./math_katex')
    .then(({ load, loadChemistry }) => (needsChemistry ? loadChemistry() : load()))
    .then((loaded) => {
      render = loaded;
      hasChemistry ||= needsChemistry;
      waiting.filter((place) => place.isConnected).forEach(draw);
    });
}

/** Returns whether all that a formula needs is here. */
function draw(place: HTMLElement): boolean {
  if (!render || (isChemistry(place) && !hasChemistry)) return false;
  const display = place.dataset.math === 'display';
  const source = sourceOf(place) ?? '';
  const key = `${display} ${source}`;
  const tex = source.replace(/^\$\$?|\$\$?$/g, '');
  const node = drawn.has(key) ? drawn.get(key)! : build(tex, display);
  keep(key, node);
  if (node) place.replaceChildren(node.cloneNode(true));
  return true;
}

function isChemistry(place: Element): boolean {
  return /\\(?:ce|pu)\b/.test(sourceOf(place) ?? '');
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

function keep(key: string, node: Node | null): void {
  drawn.delete(key);
  drawn.set(key, node);
  const oldest = drawn.keys().next();
  if (drawn.size > MOST_KEPT && !oldest.done) drawn.delete(oldest.value);
}
