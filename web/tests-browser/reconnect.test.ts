import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchBrowser, SMALL_PHONE, visit } from './setup/browser';
import { ChatPage } from './setup/chat_page';
import { startServer } from './setup/server';

let browser: Browser;

beforeAll(async () => {
  browser = await launchBrowser();
});
afterAll(() => browser?.close());

describe('when the server goes away and comes back', () => {
  it('the page keeps what was there, says so, and goes on by itself', async () => {
    const first = await startServer();
    const { page, trouble, close } = await visit(browser, first.url);
    const chat = new ChatPage(page);
    await chat.connected();
    await chat.say('tokens 100000 10');
    await chat.shows('word30');
    await chat.field.fill('written meanwhile');

    await first.stop();
    await chat.status.filter({ hasText: 'your words are safe' }).waitFor();
    expect(await chat.lastAnswer()).toMatch(/^word0 .*word30/);

    // What was asked of a server that keeps nothing is gone with it; what was written is not.
    const second = await startServer([], first.port);
    await page.getByText('This conversation is not there any more').waitFor();
    expect(await chat.field.inputValue()).toBe('written meanwhile');
    await chat.newConversation();
    await chat.say('and now');
    await chat.shows('You said: and now');
    expect(await sockets(page)).toBe(1);
    expect(trouble.errors).toEqual([]);
    await close();
    await second.stop();
  });

  it('a network that is gone is noticed at once, and what is written goes when it is back', async () => {
    const server = await startServer(['--demo']);
    const { page, close } = await visit(browser, server.url);
    const chat = new ChatPage(page);
    await chat.connected();
    await page.context().setOffline(true);
    await page.getByRole('button', { name: 'Try now' }).waitFor();
    await chat.field.fill('written offline');
    await chat.submit();
    await page.getByText('Is sent when the connection is back').waitFor();
    await page.context().setOffline(false);
    await chat.shows('You said: written offline');
    await close();
    await server.stop();
  });

  it('what can be pressed in the status line of a phone stays on one line', async () => {
    const server = await startServer();
    const { page, close } = await visit(browser, server.url, SMALL_PHONE);
    const chat = new ChatPage(page);
    await chat.connected();
    await chat.press('hello');
    await chat.shows('You said: hello');
    await chat.inMenu('中文');
    await server.stop();
    const again = page.getByRole('button', { name: '立即重试' });
    await again.waitFor();
    const lines = await again.evaluate((button) => {
      const range = document.createRange();
      range.selectNodeContents(button);
      return new Set([...range.getClientRects()].map(({ top }) => top)).size;
    });
    expect(lines).toBe(1);
    await close();
  });

  it('only one try is ever under way, whoever asks for one', async () => {
    const server = await startServer();
    const { page, close } = await visit(browser, server.url);
    const chat = new ChatPage(page);
    await chat.connected();
    await server.stop();
    await page.getByRole('button', { name: 'Try now' }).waitFor();
    // Everything that may start a try, many times over.
    await page.evaluate(() => {
      for (let i = 0; i < 20; i += 1) {
        window.dispatchEvent(new Event('online'));
        document.dispatchEvent(new Event('visibilitychange'));
      }
    });
    const back = await startServer([], server.port);
    await chat.connected();
    expect(await chat.ask('hello')).toBe('You said: hello');
    expect(await sockets(page)).toBe(1);
    await close();
    await back.stop();
  });

  it('waits for a model that is loading, and says so', async () => {
    const server = await startServer(['--loading']);
    const { page, close } = await visit(browser, server.url);
    await new ChatPage(page).status.filter({ hasText: /The model is loading… \d+ %/ }).waitFor();
    await server.stop();
    const ready = await startServer([], server.port);
    await new ChatPage(page).connected();
    await close();
    await ready.stop();
  });
});

describe('a printed link', () => {
  it('takes the code out of the address before anything else', async () => {
    const server = await startServer(['--key', 'open sesame']);
    const { page, close } = await visit(browser, `${server.url}/#code=used-before`);
    await page.getByRole('alert').filter({ hasText: 'This link was used before' }).waitFor();
    expect(page.url()).not.toContain('code');
    await close();
    await server.stop();
  });
});

/** How many sockets the page holds open, as the browser counts them. */
async function sockets(page: Page): Promise<number> {
  const devtools = await page.context().newCDPSession(page);
  const { result } = await devtools.send('Runtime.evaluate', { expression: 'WebSocket.prototype' });
  const { objects } = await devtools.send('Runtime.queryObjects', {
    prototypeObjectId: result.objectId!,
  });
  const { result: count } = await devtools.send('Runtime.callFunctionOn', {
    objectId: objects.objectId!,
    functionDeclaration: 'function () { return this.filter((s) => s.readyState < 2).length }',
    returnByValue: true,
  });
  return count.value as number;
}
