/** The colour of the bar that a system draws around an installed page, or a phone around any. */

import type { Preferences } from '../storage/preferences';

/** Makes the bar follow the chosen theme; `index.html` has one colour for each of them. */
export function tintTitleBar(theme: Preferences['theme']): void {
  const colors = document.querySelectorAll<HTMLMetaElement>('meta[name="theme-color"]');
  for (const color of colors) {
    const { scheme } = color.dataset;
    if (theme === 'auto') color.media = `(prefers-color-scheme: ${scheme})`;
    else color.media = scheme === theme ? 'all' : 'not all';
  }
}
