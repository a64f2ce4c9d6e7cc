/** Preferences changed as another tab changes them: whatever is open stays open. */

import type { Page } from 'playwright-core';
import type { Preferences } from '../../src/storage/preferences';

export async function prefer(page: Page, change: Partial<Preferences>): Promise<void> {
  await page.evaluate(async (change) => {
    const key = 'banter.preferences';
    const kept = JSON.parse(localStorage.getItem(key) ?? '{}') as object;
    localStorage.setItem(key, JSON.stringify({ ...kept, ...change }));
    dispatchEvent(new StorageEvent('storage', { key }));
    await document.fonts.ready;
    for (let frame = 0; frame < 2; frame += 1) await new Promise(requestAnimationFrame);
  }, change);
}
