import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest';
import { launchBrowser, NO_TROUBLE, visit } from './setup/browser';
import { ChatPage } from './setup/chat_page';
import { type Proxied, startBehindNginx } from './setup/nginx';
import { framesSent, recordFrames } from './setup/sent_frames';
import { startBinary, startServer } from './setup/server';

const KEY = 'a-key-for-this-test';

let browser: Browser;
let proxied: Proxied | undefined;

beforeAll(async () => {
  browser = await launchBrowser();
});
afterEach(async () => {
  await proxied?.stop();
  proxied = undefined;
});
afterAll(() => browser?.close());

async function signIn(page: Page): Promise<ChatPage> {
  const key = page.getByLabel('Key', { exact: true });
  await key.fill(KEY);
  await key.press('Enter');
  const chat = new ChatPage(page);
  await chat.connected();
  return chat;
}

describe('behind nginx, set up by the files of examples/proxy', () => {
  for (const file of ['nginx.conf', 'nginx-path.conf'] as const) {
    it(`${file}: the page comes by https, talks by wss, and shows an answer`, async () => {
      proxied = await startBehindNginx(file, (url, port) =>
        startBinary(inject('banter'), ['--key', KEY, '--public-url', url], port),
      );
      const { url } = proxied;
      const { page, trouble, close } = await visit(browser, url, { ignoreHTTPSErrors: true });
      await recordFrames(page);
      const chat = await signIn(page);
      expect(await chat.ask('What is 17 times 23?')).not.toBe('');
      const sockets = new Set((await framesSent(page)).map((frame) => frame.url));
      expect([...sockets]).toEqual([`${url.replace('https:', 'wss:')}ws`]);
      const loaded = await page.evaluate(() =>
        performance.getEntriesByType('resource').map(({ name }) => name),
      );
      expect(loaded.filter((address) => !address.startsWith(url))).toEqual([]);
      expect(trouble).toEqual(NO_TROUBLE);
      await close();
    });
  }

  it('a stream over HTTP/2 begins before its answer ends, and the socket beside it works', async () => {
    proxied = await startBehindNginx('nginx.conf', (url, port) =>
      startServer(['--key', KEY, '--public-url', url], port),
    );
    const { url } = proxied;
    const { page, close } = await visit(browser, url, { ignoreHTTPSErrors: true });
    const chat = await signIn(page);
    const read = await page.evaluate(async () => {
      // It says "hello" and never ends.
      const messages = [{ role: 'user', content: 'dropped-hang 0 hello' }];
      const leaving = new AbortController();
      const response = await fetch('v1/chat/completions', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ messages, stream: true }),
        signal: leaving.signal,
      });
      const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
      let text = '';
      while (!text.includes('hello')) text += (await reader.read()).value ?? '';
      const [page] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[];
      leaving.abort();
      return { text, protocol: page!.nextHopProtocol };
    });
    expect(read.protocol).toBe('h2');
    expect(read.text).toContain('hello');
    // nginx speaks no WebSocket over HTTP/2 (RFC 8441), so the browser opens a connection for it.
    expect(await chat.ask('echo works')).toBe('works');
    await close();
  });
});
