import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, BrowserContextOptions, Locator } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { violations } from './setup/axe';
import { launchBrowser, NO_TROUBLE, SMALL_PHONE, visit } from './setup/browser';
import { ChatPage } from './setup/chat_page';
import { startFakeHub } from './setup/hub';
import { startBinary } from './setup/server';

let browser: Browser;

beforeAll(async () => {
  browser = await launchBrowser();
});
afterAll(() => browser?.close());

interface Options {
  readonly bytesPerSecond?: number;
  readonly options?: string[];
  readonly visit?: BrowserContextOptions;
}

/** The program with a hub, an empty folder of models, and a page whose picker is open. */
async function picker({ bytesPerSecond, options = [], visit: how }: Options = {}) {
  const hub = await startFakeHub(bytesPerSecond);
  const folder = mkdtempSync(join(tmpdir(), 'banter-models-'));
  const environment = { HF_ENDPOINT: hub.url, BANTER_MODELS_DIR: folder };
  const server = await startBinary(inject('banter'), options, 0, environment);
  const { page, trouble, close } = await visit(browser, server.url, how);
  const chat = new ChatPage(page);
  await chat.connected();
  await page
    .getByRole('button', { name: /Choose another$/ })
    .first()
    .click();
  const sheet = page.getByRole('dialog', { name: 'Models' });
  await sheet.getByText('demo model').waitFor();
  const end = async () => {
    await close();
    await server.stop();
    await hub.stop();
    rmSync(folder, { recursive: true });
  };
  return { page, chat, sheet, trouble, server, end };
}

function row(sheet: Locator, name: string): Locator {
  return sheet.getByRole('listitem').filter({ hasText: name });
}

describe('the model picker', () => {
  it('shows what there is, downloads, and lets another model answer', async () => {
    const { chat, sheet, trouble, page, end } = await picker();
    expect(await row(sheet, 'demo model').innerText()).toContain('answers now');
    const known = await row(sheet, 'qwen2.5:7b').innerText();
    expect(known).toMatch(/about 4\.4 GB · Apache-2\.0\s+needs about [\d.]+ GB of memory/);

    await sheet.getByRole('button', { name: 'Download qwen2.5:0.5b' }).click();
    await sheet.getByRole('button', { name: 'Use qwen2.5:0.5b-q8_0' }).click();
    await row(sheet, 'qwen2.5:0.5b-q8_0').getByText('answers now').waitFor();
    await sheet.getByRole('button', { name: 'Close' }).click();
    // The other model is the demo model again, under a name of its own and without the notice.
    await page.getByText('Demo model: knows very little.').waitFor({ state: 'detached' });
    expect(await chat.ask('Hello')).not.toBe('');
    expect(trouble).toEqual(NO_TROUBLE);
    await end();
  });

  it('asks before a licence with terms of its own', async () => {
    const { sheet, end } = await picker();
    await sheet.getByRole('button', { name: 'Download qwen2.5:3b' }).click();
    await sheet.getByText('Its licence, Qwen Research, has terms of its own.').waitFor();
    await sheet.getByRole('button', { name: 'Cancel' }).click();
    await sheet.getByLabel('Another model').fill('hf:Qwen/Qwen2.5-3B-Instruct-GGUF');
    await sheet.getByLabel('Another model').press('Enter');
    await sheet.getByText('which must be accepted first').waitFor();
    await sheet.getByRole('button', { name: 'Accept and download' }).click();
    await sheet.getByRole('button', { name: /^Use hf:Qwen/ }).waitFor();
    await end();
  });

  it('shows how far a download is, and stops it; what came is kept', async () => {
    const { sheet, chat, page, end } = await picker({ bytesPerSecond: 300_000 });
    await sheet.getByRole('button', { name: 'Download qwen2.5:1.5b' }).click();
    await sheet.getByText(/\d+ kB \/ 5 MB · .*\/s/).waitFor();
    await sheet.getByRole('button', { name: 'Close' }).click();
    expect(await chat.ask('Hello')).not.toBe('');
    await page
      .getByRole('button', { name: /Choose another$/ })
      .first()
      .click();
    await sheet.getByRole('button', { name: 'Stop' }).click();
    await sheet.getByText('stopped. The downloaded part is kept').waitFor();
    await sheet.getByRole('button', { name: /^Resume .*qwen2\.5:1\.5b-q4_0$/ }).waitFor();
    await end();
  });

  it('says what is wrong with a name, and takes no address', async () => {
    const { sheet, end } = await picker();
    const other = sheet.getByLabel('Another model');
    await other.fill('https://example.com/model.gguf');
    await other.press('Enter');
    await sheet.getByRole('alert').filter({ hasText: 'expected' }).waitFor();
    await other.fill('hf:nobody/nothing');
    await other.press('Enter');
    await sheet.getByRole('alert').filter({ hasText: 'nobody/nothing' }).waitFor();
    await end();
  });

  it('lets nobody change anything without the admin right', async () => {
    const options = ['--key', 'just-to-talk', '--admin-key', 'to-change-it'];
    // What a proxy on this machine adds: only so is a key asked for here.
    const how = { extraHTTPHeaders: { 'X-Forwarded-For': '203.0.113.5' } };
    const hub = await startFakeHub();
    const server = await startBinary(inject('banter'), options, 0, {
      HF_ENDPOINT: hub.url,
      BANTER_MODELS_DIR: join(tmpdir(), 'banter-no-models'),
    });
    const { page, close } = await visit(browser, server.url, how);
    await page.getByLabel('Key', { exact: true }).fill('just-to-talk');
    await page.getByRole('button', { name: 'Enter' }).click();
    const chat = new ChatPage(page);
    await chat.connected();
    await page
      .getByRole('button', { name: /Choose another$/ })
      .first()
      .click();
    const sheet = page.getByRole('dialog', { name: 'Models' });
    await row(sheet, 'qwen2.5:7b').waitFor();
    expect(await sheet.getByRole('button', { name: /^(Download|Use)/ }).count()).toBe(0);
    await sheet.getByLabel('Admin key').fill('to-change-it');
    await sheet.getByRole('button', { name: 'Enter' }).click();
    await sheet.getByRole('button', { name: 'Download qwen2.5:7b' }).waitFor();
    await close();
    await server.stop();
    await hub.stop();
  });

  it('can be used with a finger and without eyes', async () => {
    const { page, sheet, end } = await picker({ visit: SMALL_PHONE });
    await sheet.getByRole('button', { name: 'Download qwen2.5:3b' }).click();
    for (const button of await sheet.getByRole('button').all())
      expect((await button.boundingBox())!.height).toBeGreaterThanOrEqual(44);
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    expect(width).toBeLessThanOrEqual(SMALL_PHONE.viewport.width);
    expect(await violations(page)).toEqual([]);
    await end();
  });
});
