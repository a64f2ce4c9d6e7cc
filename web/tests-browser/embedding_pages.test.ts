/** The widget in pages that are unlike ours: made for desktops, from right to left, on paper. */

import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { launchBrowser, PHONE, WIDE } from './setup/browser';
import { ChatServer, open, pageWith, scriptTag, Site, WidgetPage } from './setup/embedding';

let browser: Browser;
let chat: ChatServer;
let wiki: Site;
let page: string;

beforeAll(async () => {
  [browser, chat, wiki] = await Promise.all([launchBrowser(), ChatServer.start(), Site.start()]);
  page = pageWith(scriptTag(chat.url, await chat.addKey('wiki', [wiki.origin])));
  wiki.put('/', page);
});
afterAll(async () => {
  await Promise.all([browser?.close(), chat?.stop(), wiki?.stop()]);
});

it('a page that a phone shrinks has a widget that a finger can press and an eye can read', async () => {
  const PAGE_WIDTH = 1000;
  const shrunk = page.replace('width=device-width', `width=${PAGE_WIDTH}`);
  const visited = await open(browser, wiki.put('/desktop', shrunk), PHONE);
  const widget = new WidgetPage(visited.page);
  const size = await visited.page.evaluate(() => ({ width: innerWidth, height: innerHeight }));
  expect(size.width).toBeGreaterThanOrEqual(PAGE_WIDTH);
  const shrinkage = PHONE.viewport.width / PAGE_WIDTH;
  expect((await widget.bubble.boundingBox())!.width * shrinkage).toBeGreaterThan(44);
  await widget.bubble.tap();
  await widget.field.fill('hello');
  await widget.button('Send').tap();
  await widget.shows('You said: hello');
  const box = (await widget.dialog.boundingBox())!;
  expect([box.x, box.y]).toEqual([0, 0]);
  // The browser rounds what it has shrunk.
  const missing = [size.width - box.width, size.height - box.height].map(Math.abs);
  expect(Math.max(...missing)).toBeLessThan(3);
  const line = (await widget.answers.boundingBox())!.height * shrinkage;
  expect(line).toBeGreaterThan(16);
  await widget.button('Close').tap();
  await widget.dialog.waitFor({ state: 'hidden' });
  await visited.close();
});

it('a page from right to left has a widget from left to right, and answers as they are', async () => {
  const turned = page.replace('<html lang="en"', '<html lang="ar" dir="rtl"');
  const visited = await open(browser, wiki.put('/rtl', turned), WIDE);
  const widget = new WidgetPage(visited.page);
  await widget.show();
  const title = (await widget.dialog.getByRole('heading').boundingBox())!;
  const close = (await widget.button('Close').boundingBox())!;
  expect(title.x).toBeLessThan(close.x);
  await widget.say('echo مرحبا بالعالم');
  await widget.shows('مرحبا');
  const paragraph = widget.answers.locator('p').first();
  expect(await paragraph.evaluate((one) => getComputedStyle(one).direction)).toBe('rtl');
  await visited.close();
});

it('paper has neither the bubble nor the conversation', async () => {
  const { page, close } = await open(browser, wiki.origin, WIDE);
  const widget = new WidgetPage(page);
  await widget.bubble.waitFor();
  await page.emulateMedia({ media: 'print' });
  expect(await widget.bubble.isVisible()).toBe(false);
  await page.emulateMedia({ media: 'screen' });
  await widget.show();
  await widget.ask('hello');
  await page.emulateMedia({ media: 'print' });
  expect(await widget.dialog.isVisible()).toBe(false);
  await page.emulateMedia({ media: 'screen' });
  await widget.shows('You said: hello');
  await close();
});
