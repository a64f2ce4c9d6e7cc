/**
 * The page as browsers keep and install it: the service worker while servers go away and change,
 * and the manifest. All of it is below `/chat/`, where a proxy may have put the page.
 */

import { createServer, request as send } from 'node:http';
import type {
  IncomingMessage,
  OutgoingHttpHeaders,
  Server as HttpServer,
  ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { launchBrowser, NO_TROUBLE, visit, type Visit } from './setup/browser';
import { ChatPage } from './setup/chat_page';
import { type Server, startServer } from './setup/server';

const WAIT = { timeout: 30_000 };

let browser: Browser;
let server: Server;
let site: Site;
let visits: Visit[] = [];

beforeAll(async () => {
  [server, browser] = await Promise.all([
    startServer(['--demo', '--public-url', 'http://localhost/chat/']),
    launchBrowser(),
  ]);
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});
beforeEach(async () => {
  site = await Site.inFrontOf(server);
});
afterEach(async () => {
  for (const { trouble, close } of visits.splice(0)) {
    expect(trouble).toEqual(NO_TROUBLE);
    await close();
  }
  await site.leave();
});

describe('while the server is away', () => {
  it('the page opens with all of its parts, and says that it is not connected', async () => {
    const page = await openKept();
    await site.leave();
    await page.goto(`${site.url}?new#anything`);
    const chat = new ChatPage(page);
    await chat.field.fill('for later');
    await page.getByRole('button', { name: 'Settings', exact: true }).click();
    await page.getByRole('spinbutton', { name: 'Temperature' }).waitFor();
    await site.comeBack();
    await page.keyboard.press('Escape');
    await chat.connected();
    expect(await chat.field.inputValue()).toBe('for later');
  });

  it('nothing that the server has answered is there', async () => {
    const page = await openKept();
    await new ChatPage(page).ask('hello');
    const asked = ['api/info', 'api/models', 'ready', 'health', 'metrics', 'chat.html', 'sw.js'];
    await page.evaluate((paths) => Promise.all(paths.map((path) => fetch(path))), asked);
    await site.leave();
    for (const path of asked) expect(await canFetch(page, path), path).toBe(false);
    const [kept] = await keptBy(page);
    const files = site.files.map((name) => site.url + name);
    expect(kept?.urls).toEqual([site.url, `${site.url}assets/theme.js`, ...files].sort());
  });
});

describe('a new version of the server', () => {
  it('is what opens next, and its page is the one that is kept', async () => {
    const page = await openKept();
    const [first] = await keptBy(page);
    const firstScript = await script(page);
    site.version = 'second';
    await page.reload();
    expect(await script(page)).toBe(inSecond(firstScript, site.hashes));
    const [name, ...urls] = [first!.name, ...first!.urls].map((of) => inSecond(of, site.hashes));
    const second = { name, urls: urls.sort() };
    // Only the files of the new page stay. They are looked at once nothing is removed any more:
    // looking into a cache that is just removed would make it again.
    await expect.poll(() => cacheNames(page), WAIT).toEqual([second.name]);
    await expect.poll(() => keptBy(page), WAIT).toEqual([second]);
    await site.leave();
    await page.reload();
    await new ChatPage(page).field.waitFor();
    expect(await script(page)).toBe(inSecond(firstScript, site.hashes));
  });

  it('is kept again by the next visit after someone had it removed', async () => {
    const page = await openKept();
    const before = await keptBy(page);
    await page.evaluate(async () => {
      for (const name of await caches.keys()) await caches.delete(name);
    });
    await page.reload();
    await expect.poll(() => keptBy(page), WAIT).toEqual(before);
  });

  it('without a service worker has the browser forget the old one', async () => {
    const page = await openKept();
    site.missing = '/sw.js';
    // The page of such a server registers none.
    await page.addInitScript(() => {
      navigator.serviceWorker.register = () => new Promise(() => undefined);
    });
    await page.reload();
    await expect.poll(() => registrations(page), WAIT).toBe(0);
    expect(await keptBy(page)).toEqual([]);
  });
});

describe('an answer that is not the page', () => {
  it.each([401, 403, 421, 502, 503])('is shown and never kept: %i', async (status) => {
    const page = await openKept();
    const before = await keptBy(page);
    site.status = status;
    const refused = await page.goto(site.url);
    expect([refused?.status(), await refused?.text()]).toEqual([status, 'not the page']);
    expect(await keptBy(page)).toEqual(before);
    await site.leave();
    await page.goto(site.url);
    await new ChatPage(page).field.waitFor();
  });

  it('that asks for a password is left to the browser, which has a dialog for it', async () => {
    const page = await openKept();
    site.status = 401;
    site.challenge = 'Basic realm="friends"';
    // A browser without a window has nowhere to show it, and gives up.
    await page.goto(site.url).catch(() => null);
    expect(site.pageAskedBy).toBe('browser');
    site.status = null;
    const again = await page.context().newPage();
    await again.goto(site.url);
    await controlled(again);
  });
});

it('a browser without service workers has the page as ever', async () => {
  const page = await open();
  await page.addInitScript(() => Reflect.deleteProperty(Navigator.prototype, 'serviceWorker'));
  await page.reload();
  expect(await new ChatPage(page).ask('hello')).toBe('You said: hello');
});

describe('the manifest', () => {
  it('names icons that exist, in the sizes that it says', async () => {
    const page = await open();
    const address = new URL('assets/banter.webmanifest', site.url);
    const manifest = (await (await fetch(address)).json()) as Manifest;
    expect(manifest.icons.map(({ sizes, purpose }) => purpose ?? sizes)).toEqual(
      expect.arrayContaining(['192x192', '512x512', 'maskable']),
    );
    const touch = page.locator('link[rel="apple-touch-icon"]');
    const linked = { src: (await touch.getAttribute('href'))!, sizes: '180x180', base: site.url };
    const icons = manifest.icons.map((icon) => ({ ...icon, base: address.href }));
    for (const { src, sizes, base } of [...icons, linked]) {
      if (sizes === 'any') continue;
      expect(await pictureSize(page, new URL(src, base).href), src).toBe(sizes);
    }
  });

  it('makes the page installable, in the folder where it is', async () => {
    const page = await open();
    const devtools = await page.context().newCDPSession(page);
    const { errors, manifest } = await devtools.send('Page.getAppManifest');
    expect(errors).toEqual([]);
    // No id: then it is the address, by which two servers on one host are told apart.
    expect(manifest).toMatchObject({ id: site.url, startUrl: site.url, scope: site.url });
    expect(manifest.shortcuts?.map(({ url }) => url)).toEqual([`${site.url}?new`]);
    expect(manifest.shareTarget?.action).toBe(site.url);
    const { installabilityErrors } = await devtools.send('Page.getInstallabilityErrors');
    // Every context of a test is a private window.
    expect(installabilityErrors.map(({ errorId }) => errorId)).toEqual(['in-incognito']);
  });
});

interface Manifest {
  readonly icons: { readonly src: string; readonly sizes: string; readonly purpose?: string }[];
}

async function open(): Promise<Page> {
  const visited = await visit(browser, site.url, { serviceWorkers: 'allow' });
  visits.push(visited);
  await new ChatPage(visited.page).connected();
  return visited.page;
}

/** Opens the page. Resolves when the browser has kept it. */
async function openKept(): Promise<Page> {
  const page = await open();
  await controlled(page);
  return page;
}

async function controlled(page: Page): Promise<void> {
  await page.waitForFunction(() => navigator.serviceWorker.controller?.state === 'activated');
}

async function registrations(page: Page): Promise<number> {
  return page.evaluate(async () => (await navigator.serviceWorker.getRegistrations()).length);
}

/** The caches of the page's host, with the addresses in them. */
async function cacheNames(page: Page): Promise<string[]> {
  return page.evaluate(() => window.caches.keys());
}

async function keptBy(page: Page): Promise<{ name: string; urls: string[] }[]> {
  return page.evaluate(async () => {
    const names = await window.caches.keys();
    const list = async (name: string) => {
      const requests = await (await window.caches.open(name)).keys();
      return { name, urls: requests.map(({ url }) => url).sort() };
    };
    return Promise.all(names.map(list));
  });
}

async function canFetch(page: Page, path: string): Promise<boolean> {
  return page.evaluate(
    (path) =>
      fetch(path).then(
        () => true,
        () => false,
      ),
    path,
  );
}

/** The script of the page: its name is another one in each version. */
async function script(page: Page): Promise<string> {
  return (await page.locator('script[type="module"]').getAttribute('src'))!;
}

async function pictureSize(page: Page, url: string): Promise<string> {
  return page.evaluate(async (url) => {
    const { width, height } = await createImageBitmap(await (await fetch(url)).blob());
    return `${width}x${height}`;
  }, url);
}

/** A text of the first version as it is in the second one, where every file has changed. */
function inSecond(text: string, hashes: readonly string[]): string {
  return hashes.reduce((text, hash) => text.replaceAll(hash, reversed(hash)), text);
}

function inFirst(text: string, hashes: readonly string[]): string {
  return inSecond(text, hashes.map(reversed));
}

function reversed(hash: string): string {
  return [...hash].reverse().join('');
}

/** A proxy that serves a server below `/chat/`, and can pretend that it is a newer one, or away. */
class Site {
  url = '';
  version: 'first' | 'second' = 'first';
  /** The page is answered with this status. */
  status: number | null = null;
  /** What that asks the browser for. */
  challenge: string | null = null;
  /** Who has asked for the page last. */
  pageAskedBy: 'browser' | 'service worker' = 'browser';
  /** A path that does not exist. */
  missing: string | null = null;
  private listener: HttpServer | null = null;
  private readonly sockets = new Set<Duplex>();

  private constructor(
    private readonly server: Server,
    /** The scripts and styles of the first version. */
    readonly files: readonly string[],
    /**
     * What is different in the second version: the hashes in their names, and that of the build.
     */
    readonly hashes: readonly string[],
  ) {}

  static async inFrontOf(server: Server): Promise<Site> {
    const worker = await (await fetch(`${server.url}/sw.js`)).text();
    const files = [...new Set(worker.match(/assets\/[\w-]+-[\w-]{8}\.(?:js|css)/g))];
    const build = /version:.(\w{8})/.exec(worker)![1]!;
    const hashes = files.map((name) => /(.{8})\.\w+$/.exec(name)![1]!);
    const site = new Site(server, files, [build, ...hashes]);
    await site.comeBack();
    return site;
  }

  async comeBack(): Promise<void> {
    const port = this.url ? Number(new URL(this.url).port) : 0;
    const listener = createServer((request, response) => void this.answer(request, response));
    listener.on('upgrade', (request, client) => this.upgrade(request, client));
    listener.on('connection', (socket) => this.sockets.add(socket));
    await new Promise<void>((listening) => listener.listen(port, 'localhost', listening));
    this.url = `http://localhost:${(listener.address() as AddressInfo).port}/chat/`;
    this.listener = listener;
  }

  /** Ends all connections and takes no new ones. */
  async leave(): Promise<void> {
    const { listener } = this;
    this.listener = null;
    if (!listener) return;
    const closed = new Promise((closed) => listener.close(closed));
    for (const socket of this.sockets) socket.destroy();
    this.sockets.clear();
    await closed;
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '').slice('/chat'.length);
    const isPage = path === '/' || path.startsWith('/?');
    const isDocument = request.headers['sec-fetch-dest'] === 'document';
    if (isPage) this.pageAskedBy = isDocument ? 'browser' : 'service worker';
    if (isPage && this.status !== null) {
      const headers = this.challenge ? { 'www-authenticate': this.challenge } : {};
      return void response.writeHead(this.status, headers).end('not the page');
    }
    if (path === this.missing) return void response.writeHead(404).end();
    const upstream = send(this.upstream(request), (answer) => void this.pass(answer, response));
    upstream.on('error', () => response.destroy());
    request.pipe(upstream);
  }

  private upgrade(request: IncomingMessage, client: Duplex): void {
    const upstream = send(this.upstream(request));
    upstream.on('upgrade', ({ headers }, socket) => {
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${String(value)}`);
      client.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join('\r\n')}\r\n\r\n`);
      socket.pipe(client).pipe(socket);
      client.on('close', () => socket.destroy()).on('error', () => socket.destroy());
    });
    upstream.on('error', () => client.destroy()).end();
  }

  /** The request as the server gets it. */
  private upstream({ url = '', method, headers: asked }: IncomingMessage) {
    const headers: OutgoingHttpHeaders = { ...asked };
    // What is compressed cannot be made into another version, nor what the browser has already.
    headers['accept-encoding'] = 'identity';
    if (this.version === 'second') delete headers['if-none-match'];
    const path = this.version === 'second' ? inFirst(url, this.hashes) : url;
    // The server may just have closed a connection that an agent keeps.
    return { host: 'localhost', port: this.server.port, method, path, headers, agent: false };
  }

  private async pass(answer: IncomingMessage, response: ServerResponse): Promise<void> {
    const { 'content-length': _, etag: __, ...headers } = answer.headers;
    const isText = /^text\/(?:html|javascript|css)/.test(headers['content-type'] ?? '');
    if (this.version === 'first' || !isText) {
      response.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(response);
      return;
    }
    const body = inSecond(await text(answer), this.hashes);
    response.writeHead(answer.statusCode!, headers).end(body);
  }
}
