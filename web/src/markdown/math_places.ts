/** Finds the places of formulas. */

/** The source for each place of a formula; it is shown until the formula is drawn. */
const sources = new WeakMap<Element, string>();

/** The source of the formula in a place, with its dollars. */
export function sourceOf(place: Element): string | undefined {
  return sources.get(place);
}

/** Puts sources into the places for formulas below `root`, and returns the places. */
export function findMath(root: ParentNode): HTMLElement[] {
  const places = [...root.querySelectorAll<HTMLElement>('[data-math]')];
  for (const place of places) {
    const dollars = place.dataset.math === 'display' ? '$$' : '$';
    const source = `${dollars}${place.textContent ?? ''}${dollars}`;
    sources.set(place, source);
    place.textContent = source;
  }
  return places;
}
