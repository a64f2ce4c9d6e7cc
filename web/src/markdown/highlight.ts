/** Colours code; the highlighter is fetched when the first block of code is finished. */

import { cleanCode } from './clean';
import { highlighterName } from './language_aliases';

/** Beyond this, colouring would hold up the page. */
const LONGEST_HIGHLIGHTED = 60_000;

/** The same text in colours, if the language is known. */
export async function coloursOf(text: string, language: string): Promise<DocumentFragment | null> {
  if (language === '' || text.length > LONGEST_HIGHLIGHTED) return null;
  const { hljs } = await import('./highlight_languages');
  const name = highlighterName(language);
  if (!hljs.getLanguage(name)) return null;
  await idle();
  return cleanCode(hljs.highlight(text, { language: name, ignoreIllegals: true }).value);
}

/** Each block of code is a task of its own: a page may hold many, and a long one takes 150 ms. */
function idle(): Promise<unknown> {
  return new Promise((resolve) => {
    if ('requestIdleCallback' in window) requestIdleCallback(resolve, { timeout: 1_000 });
    // Safari has none.
    else setTimeout(resolve, 0);
  });
}

/** Calls `change` at once, or as soon as no selection reaches into `element`. */
export function whenUnselected(element: Element, stop: AbortSignal, change: () => void): void {
  if (stop.aborted) return;
  if (!isSelected(element)) return change();
  const look = () => {
    if (isSelected(element)) return;
    document.removeEventListener('selectionchange', look);
    change();
  };
  document.addEventListener('selectionchange', look, { signal: stop });
}

function isSelected(element: Element): boolean {
  return hasSelection && (document.getSelection()?.getRangeAt(0).intersectsNode(element) ?? false);
}

/** Kept up to date by events: a browser lays out the whole page before it tells. */
let hasSelection = false;

if (typeof document !== 'undefined')
  document.addEventListener('selectionchange', () => {
    const selection = document.getSelection();
    hasSelection = selection !== null && selection.rangeCount > 0 && !selection.isCollapsed;
  });
