// Takes the pictures for the README from a running server: `npm run screenshots -- URL [PROMPT…]`.
//
// The conversation is a real one with whatever model the server runs; nothing is made up.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [url = 'http://localhost:7860/', ...prompts] = process.argv.slice(2);
const PROMPTS = prompts.length > 0 ? prompts : ['Hello, who are you?', 'Write quicksort in Python'];
const FOLDER = join(import.meta.dirname, '../../docs/images');
const executablePath = process.env.BANTER_CHROMIUM ?? '/usr/bin/chromium';

mkdirSync(FOLDER, { recursive: true });
const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
const browser = await chromium.launch({ executablePath, args });
for (const colorScheme of ['light', 'dark']) {
  const viewport = { width: 1120, height: 800 };
  const page = await browser.newPage({ viewport, colorScheme, locale: 'en-GB' });
  await page.goto(url);
  for (const prompt of PROMPTS) await ask(page, prompt);
  await page.mouse.move(0, 0);
  await page.screenshot({ path: join(FOLDER, `page-${colorScheme}.png`) });
  const models = page.getByRole('button', { name: /^Model: / });
  if (colorScheme === 'light' && (await models.count()) > 0) {
    await models.click();
    await page.getByRole('listitem').last().waitFor();
    await page.screenshot({ path: join(FOLDER, 'models-light.png') });
  }
  await page.close();
}
await browser.close();

async function ask(page, prompt) {
  await page.getByRole('textbox', { name: 'Your message' }).fill(prompt);
  await page.locator('button.turn:not(.stop):enabled').waitFor();
  await page.keyboard.press('Enter');
  await page.locator('article.assistant').last().waitFor();
  await page.locator('[role="log"][aria-busy="false"]').waitFor({ timeout: 120_000 });
  // Colours of code and formulas are fetched when first needed.
  await page.waitForLoadState('networkidle');
}
