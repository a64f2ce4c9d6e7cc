/**
 * Keeps the keyboard's place: when what had the focus goes away by its own press (another answer
 * begins, an editor closes, a button is no longer offered), the browser lets the focus fall to the
 * page, and the next Tab begins at its top. Returns how to stop.
 */
export function keepFocus(fallback: () => HTMLElement | undefined): () => void {
  let before: Element | null = null;
  let isByKeyboard = false;

  const press = (event: Event) => {
    before = document.activeElement;
    // A press of Enter or Space on a button is a click without a pointer.
    isByKeyboard = event instanceof KeyboardEvent || (event as MouseEvent).detail === 0;
    // One frame for the page to change, one for the browser to notice.
    requestAnimationFrame(() => requestAnimationFrame(check));
  };
  const check = () => {
    const isLost = document.activeElement === null || document.activeElement === document.body;
    if (!isLost || !before || before === document.body || isThere(before)) return;
    // On a phone this would open the keyboard although nobody asked for it.
    if (isByKeyboard || matchMedia('(pointer: fine)').matches) fallback()?.focus();
  };

  window.addEventListener('keydown', press, true);
  window.addEventListener('click', press, true);
  return () => {
    window.removeEventListener('keydown', press, true);
    window.removeEventListener('click', press, true);
  };
}

function isThere(element: Element): boolean {
  return element.isConnected && !element.matches(':disabled') && element.checkVisibility();
}
