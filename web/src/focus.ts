/** What a press has begun may take the element away only when the server has answered. */
const WATCHED_MS = 5_000;

/**
 * Keeps the keyboard's place: when what had the focus goes away by its own press (another answer
 * begins, an editor closes, a button is no longer offered), the browser lets the focus fall to the
 * page, and the next Tab begins at its top. Returns how to stop.
 */
export function keepFocus(fallback: () => HTMLElement | undefined): () => void {
  let before: Element | null = null;
  let isByKeyboard = false;
  let isDue = false;
  let timer: number | undefined;

  const press = (event: Event) => {
    before = document.activeElement;
    // A press of Enter or Space on a button is a click without a pointer.
    isByKeyboard = event instanceof KeyboardEvent || (event as MouseEvent).detail === 0;
    observer.observe(document.body, {
      childList: true,
      subtree: true,
      attributes: true,
      attributeFilter: ['disabled'],
    });
    window.clearTimeout(timer);
    timer = window.setTimeout(() => observer.disconnect(), WATCHED_MS);
    checkSoon();
  };
  // One frame for the page to change, one for the browser to notice.
  const checkSoon = () => {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => requestAnimationFrame(check));
  };
  const check = () => {
    isDue = false;
    const isLost = document.activeElement === null || document.activeElement === document.body;
    if (!isLost || !before || before === document.body || isThere(before)) return;
    before = null;
    // On a phone this would open the keyboard although nobody asked for it.
    if (isByKeyboard || matchMedia('(pointer: fine)').matches) fallback()?.focus();
  };
  const observer = new MutationObserver(checkSoon);

  window.addEventListener('keydown', press, true);
  window.addEventListener('click', press, true);
  return () => {
    observer.disconnect();
    window.clearTimeout(timer);
    window.removeEventListener('keydown', press, true);
    window.removeEventListener('click', press, true);
  };
}

function isThere(element: Element): boolean {
  return element.isConnected && !element.matches(':disabled') && element.checkVisibility();
}
