import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { launchBrowser, NO_TROUBLE, visit } from './setup/browser';
import { ChatPage } from './setup/chat_page';
import { framesSent, recordFrames } from './setup/sent_frames';
import { type Server, startServer } from './setup/server';
import { startTlsProxy, type TlsProxy } from './setup/tls_proxy';

const KEY = 'a-key-for-this-test';
const EXAMPLE = readFileSync(join(import.meta.dirname, '../../examples/chat.html'), 'utf8');

let proxy: TlsProxy;
let server: Server;
let browser: Browser;
let url: string;

beforeAll(async () => {
  proxy = await startTlsProxy();
  url = `https://localhost:${proxy.port}/chat/`;
  [server, browser] = await Promise.all([
    startServer(['--key', KEY, '--public-url', url]),
    launchBrowser(),
  ]);
  proxy.target = server.port;
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
  await proxy?.close();
});

describe('behind a TLS proxy, at /chat/', () => {
  it('asks for the key, connects by wss below the same path, and knows the browser after that', async () => {
    const { page, trouble, close } = await visit(browser, url, { ignoreHTTPSErrors: true });
    await recordFrames(page);
    const chat = new ChatPage(page);
    const key = page.getByLabel('Key', { exact: true });
    await key.fill('wrong');
    await key.press('Enter');
    await page.getByRole('alert').filter({ hasText: 'does not know this key' }).waitFor();
    await key.fill(KEY);
    await key.press('Enter');
    expect(await chat.ask('hello')).toBe('You said: hello');
    const sockets = new Set((await framesSent(page)).map(({ url }) => url));
    expect([...sockets]).toEqual([`wss://localhost:${proxy.port}/chat/ws`]);

    await page.reload();
    await chat.connected();
    expect(await chat.ask('echo $x$ and\n\n```python\nimport this\n```')).toContain('import this');
    // Formulas and colours are fetched when needed: their addresses, too, are below the path.
    await page.locator('.katex').waitFor();
    await page.locator('.hljs-keyword').waitFor();
    const kept = await page.evaluate(() => JSON.stringify({ ...localStorage }) + document.cookie);
    expect(kept).not.toContain(KEY);
    expect(trouble).toEqual(NO_TROUBLE);
    await close();
  });

  it('what is being written survives a restart that asks for the key again', async () => {
    const { page, close } = await visit(browser, url, { ignoreHTTPSErrors: true });
    const chat = new ChatPage(page);
    const key = page.getByLabel('Key', { exact: true });
    await key.fill(KEY);
    await key.press('Enter');
    await chat.connected();
    await chat.field.fill('half a thought');
    await server.stop();
    server = await startServer(['--key', KEY, '--public-url', url], server.port);
    await key.fill(KEY);
    await key.press('Enter');
    await chat.connected();
    expect(await chat.field.inputValue()).toBe('half a thought');
    await close();
  });

  it('the example page finds its server there, with the key in the file', async () => {
    proxy.elsewhere.set('/chat/mine.html', EXAMPLE.replace("KEY = ''", `KEY = '${KEY}'`));
    const { page, close } = await visit(browser, `${url}mine.html`, { ignoreHTTPSErrors: true });
    await page.getByRole('status').filter({ hasText: 'Connected' }).waitFor();
    await close();
  });

  it('the example page explains why an https page cannot use a ws: address', async () => {
    proxy.elsewhere.set(
      '/mixed.html',
      EXAMPLE.replace("ADDRESS = ''", "ADDRESS = 'ws://chat.example/ws'"),
    );
    const page = await visit(browser, `https://localhost:${proxy.port}/mixed.html`, {
      ignoreHTTPSErrors: true,
    });
    await page.page.getByRole('status').filter({ hasText: 'opened by https' }).waitFor();
    await page.close();
  });
});

describe('behind a proxy that lets no WebSocket through', () => {
  afterEach(() => {
    proxy.webSockets = 'pass';
  });

  /** A page that is signed in. */
  async function signedIn() {
    const visited = await visit(browser, url, { ignoreHTTPSErrors: true });
    const key = visited.page.getByLabel('Key', { exact: true });
    await key.fill(KEY);
    return { ...visited, key };
  }

  it('events come as a stream and are sent as requests: words, stop, a reload in the middle', async () => {
    proxy.webSockets = 'refuse';
    const { page, key, trouble, close } = await signedIn();
    const posted: string[] = [];
    page.on('request', (request) => {
      if (request.method() === 'POST') posted.push(new URL(request.url()).pathname);
    });
    await key.press('Enter');
    const chat = new ChatPage(page);
    expect(await chat.ask('hello')).toBe('You said: hello');
    expect(posted.some((path) => /^\/chat\/api\/stream\/[\w-]+$/.test(path))).toBe(true);

    await chat.say('tokens 100000 10');
    await chat.shows('word30');
    await page.reload();
    await chat.shows('word60');
    // The button takes no press right after it has become the stop button.
    await chat.field.press('Escape');
    await page.getByText(/^Stopped/).waitFor();
    expect(await chat.lastAnswer()).toMatch(/^word0 word1 .*word60/);
    expect(await chat.ask('and now')).toBe('You said: and now');
    expect(trouble.policyViolations).toEqual([]);
    await close();
  });

  it('a handshake that is never answered is given up', async () => {
    proxy.webSockets = 'hang';
    const { page, key, close } = await signedIn();
    await page.clock.install();
    const handshake = page.waitForEvent('websocket');
    await key.press('Enter');
    await handshake;
    await page.clock.fastForward('00:15');
    await page.clock.fastForward('00:15');
    expect(await new ChatPage(page).ask('hello')).toBe('You said: hello');
    await close();
  });
});
