/** Fields of numbers. */

import type { Locator } from 'playwright-core';

/** Puts a number in the place of what is there. (In Firefox, Playwright's `fill` adds to it.) */
export async function typeNumber(field: Locator, text: string): Promise<void> {
  await field.press('Control+a');
  await field.press('Delete');
  if (text !== '') await field.page().keyboard.insertText(text);
}
