import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { violations } from './setup/axe';
import { launchBrowser, PHONE, visit } from './setup/browser';
import { ChatPage } from './setup/chat_page';
import { startServer } from './setup/server';
import { startTlsProxy } from './setup/tls_proxy';

const KEY = 'a-key-for-this-test';

let browser: Browser;

beforeAll(async () => {
  browser = await launchBrowser();
});
afterAll(() => browser?.close());

describe('a link for another device', () => {
  it('signs it in once, with the same conversations', async () => {
    const proxy = await startTlsProxy();
    const url = `https://localhost:${proxy.port}/chat/`;
    const server = await startServer(['--key', KEY, '--public-url', url]);
    proxy.target = server.port;
    const ours = { ignoreHTTPSErrors: true };
    const { page, close } = await visit(browser, url, ours);
    const chat = new ChatPage(page);
    await page.getByLabel('Key', { exact: true }).fill(KEY);
    await page.keyboard.press('Enter');
    await chat.ask('said on the first device');
    await chat.inMenu('On another device');
    const code = page.getByRole('img', { name: 'The link as a QR code' });
    await code.waitFor();
    const link = await page.getByText(`${url}#code=`).innerText();
    expect(await code.locator('path').getAttribute('d')).toMatch(/^M4 4h7v1h-7z/);
    expect(await violations(page)).toEqual([]);

    const phone = await visit(browser, link, { ...PHONE, ...ours });
    const onPhone = new ChatPage(phone.page);
    await onPhone.connected();
    await (await onPhone.inList('said on the first device')).waitFor();
    expect(phone.page.url()).not.toContain('code');
    await phone.close();

    const late = await visit(browser, link, ours);
    await late.page.getByLabel('Key', { exact: true }).waitFor();
    await late.close();

    // Each time there is another one.
    await page.keyboard.press('Escape');
    await chat.inMenu('On another device');
    await code.waitFor();
    expect(await page.getByText(`${url}#code=`).innerText()).not.toBe(link);
    await close();
    await server.stop();
    await proxy.close();
  });

  it('says how to start a server that other devices can reach', async () => {
    const server = await startServer();
    const { page, close } = await visit(browser, server.url);
    const chat = new ChatPage(page);
    await chat.connected();
    await chat.inMenu('On another device');
    await page.getByText('banter serve --lan').waitFor();
    expect(await violations(page)).toEqual([]);
    await close();
    await server.stop();
  });
});
