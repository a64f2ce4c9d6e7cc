/** Colours code; the highlighter is fetched when the first block of code is finished. */

import { cleanCode } from './clean';
import { highlighterName } from './language_names';

/** Beyond this, colouring would hold up the page. */
const LONGEST_HIGHLIGHTED = 60_000;

/** Replaces the text of `element` by the same text in colours, if the language is known. */
export async function highlight(
  element: HTMLElement,
  text: string,
  language: string,
): Promise<void> {
  if (language === '' || text.length > LONGEST_HIGHLIGHTED) return;
  const { hljs } = await import('./highlight_languages');
  const name = highlighterName(language);
  if (!element.isConnected || !hljs.getLanguage(name)) return;
  const { value } = hljs.highlight(text, { language: name, ignoreIllegals: true });
  element.replaceChildren(cleanCode(value));
}
