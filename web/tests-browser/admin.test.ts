import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { violations } from './setup/axe';
import { launchBrowser, NO_TROUBLE, SMALL_PHONE, visit, WIDE } from './setup/browser';
import { ChatPage } from './setup/chat_page';
import { startBinary, startServer } from './setup/server';

let browser: Browser;

beforeAll(async () => {
  browser = await launchBrowser();
});
afterAll(() => browser?.close());

describe('the page for administrators', () => {
  it('shows the answers that are written, and stops one of them', async () => {
    const server = await startServer();
    const talk = await visit(browser, server.url);
    const chat = new ChatPage(talk.page);
    await chat.connected();
    await chat.say('tokens 100000 10');
    await chat.shows('word9');
    const admin = await visit(browser, `${server.url}/admin`);
    const { page } = admin;
    await page.getByRole('status').filter({ hasText: 'ready' }).waitFor();
    const row = page.getByRole('row').filter({ hasText: 'writes' });
    await row.waitFor();
    await row.getByRole('button', { name: /^Stop answer \d+$/ }).click();
    await page.getByText('Nobody waits for an answer.').waitFor();
    await chat.answered();
    expect(await page.getByText('word9').count(), 'no text of an answer is shown').toBe(0);
    expect([talk.trouble, admin.trouble]).toEqual([NO_TROUBLE, NO_TROUBLE]);
    await talk.close();
    await admin.close();
    await server.stop();
  });

  it('shows what the engine counts', async () => {
    const server = await startBinary(inject('banter'), ['--kv-memory', '64MiB']);
    const { page, trouble, close } = await visit(browser, `${server.url}/admin`);
    await page.getByText(/^0 of [\d,]+ blocks of 16 tokens are in use/).waitFor();
    await page.getByText('0 are computed, 0 wait').waitFor();
    await page.getByText('All figures').click();
    await page.getByRole('row').filter({ hasText: 'banter_steps' }).waitFor();
    await server.stop();
    await page.getByRole('status').filter({ hasText: 'the server does not answer' }).waitFor();
    expect(trouble.dialogs).toEqual([]);
    await close();
  });

  it('asks for a key of an administrator', async () => {
    const options = ['--key', 'just-to-talk', '--admin-key', 'to-look-at-it'];
    // What a proxy on this machine adds: only so is a key asked for here.
    const how = { extraHTTPHeaders: { 'X-Forwarded-For': '203.0.113.5' } };
    const server = await startBinary(inject('banter'), options);
    const { page, close } = await visit(browser, `${server.url}/admin`, how);
    const key = page.getByLabel('Key', { exact: true });
    await key.fill('just-to-talk');
    await page.getByRole('button', { name: 'Open' }).click();
    await page.getByRole('alert').filter({ hasText: 'no key of an administrator' }).waitFor();
    await key.fill('to-look-at-it');
    await page.getByRole('button', { name: 'Open' }).click();
    await page.getByRole('status').filter({ hasText: 'ready' }).waitFor();
    await close();
    await server.stop();
  });

  for (const [size, options] of Object.entries({ wide: WIDE, phone: SMALL_PHONE })) {
    for (const colorScheme of ['light', 'dark'] as const) {
      it(`has no fault that axe finds: ${size}, ${colorScheme}`, async () => {
        const server = await startServer();
        const talk = await visit(browser, server.url);
        const chat = new ChatPage(talk.page);
        await chat.connected();
        await chat.say('tokens 100000 10');
        await chat.shows('word9');
        const how = { ...options, colorScheme, locale: 'zh-CN' };
        const { page, close } = await visit(browser, `${server.url}/admin`, how);
        await page.getByRole('row').filter({ hasText: '正在写' }).waitFor();
        expect(await violations(page)).toEqual([]);
        const { scrollWidth, clientWidth } = await page.evaluate(() => document.documentElement);
        expect(scrollWidth, 'nothing is wider than the page').toBe(clientWidth);
        await close();
        await talk.close();
        await server.stop();
      });
    }
  }
});
