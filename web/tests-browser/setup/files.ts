/** Files as a person attaches them. */

import type { Page } from 'playwright-core';

export interface AttachedFile {
  readonly name: string;
  readonly mimeType: string;
  readonly buffer: Buffer;
}

export function file(name: string, text: string): AttachedFile {
  return { name, mimeType: 'application/octet-stream', buffer: Buffer.from(text) };
}

/** Chooses files in the dialog of the composer's button. */
export async function choose(page: Page, ...files: readonly AttachedFile[]): Promise<void> {
  const chooser = page.waitForEvent('filechooser');
  await page.locator('form.composer').getByRole('button', { name: 'Attach files' }).click();
  await (await chooser).setFiles([...files]);
}
