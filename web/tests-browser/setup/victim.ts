/** A server, and a browser that may use it: what pages of others must not be able to take part in. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { ChatPage } from './chat_page';
import type { Aim } from './foreign_page';
import { type Server, startServer } from './server';

const KEY = 'a-key-for-this-test';
const SECRET = 'the tulips are under the bed';

/** Somebody who talks with a server, in a browser in which other pages are open as well. */
export class Victim {
  private constructor(
    readonly server: Server,
    /** What the browser calls the server. */
    readonly url: string,
    private readonly context: BrowserContext,
  ) {}

  /** On the server's machine no key is needed. */
  static async onThisMachine(browser: Browser, allowed: string): Promise<Victim> {
    const server = await startServer(['--allow-origin', allowed]);
    return Victim.begin(browser, server, server.url);
  }

  /** A name that is not this machine's needs a key, and the browser keeps a session. */
  static async signedIn(browser: Browser, allowed: string): Promise<Victim> {
    const port = await freePort();
    const url = `http://chat.localhost:${port}`;
    const options = ['--key', KEY, '--public-url', url, '--allow-origin', allowed];
    return Victim.begin(browser, await startServer(options, port), url);
  }

  private static async begin(browser: Browser, server: Server, url: string): Promise<Victim> {
    const context = await browser.newContext({ locale: 'en-GB', serviceWorkers: 'block' });
    const victim = new Victim(server, url, context);
    const page = await victim.open(url);
    const field = page.getByLabel('Key', { exact: true });
    const own = new ChatPage(page);
    await field.or(own.field).first().waitFor();
    if (await field.isVisible()) {
      await field.fill(KEY);
      await field.press('Enter');
    }
    await own.connected();
    await own.ask(SECRET);
    // An open page asks the server now and then; what is counted later is of the others alone.
    await page.close();
    return victim;
  }

  /** Whether pages without a session need one. */
  get needsKey(): boolean {
    return this.url !== this.server.url;
  }

  /** Opens a page in this browser. */
  async open(address: string): Promise<Page> {
    const page = await this.context.newPage();
    await page.goto(address);
    return page;
  }

  /** Asks as a program of the person who is signed in; it is no page. */
  async read(path: string): Promise<string> {
    const response = await fetch(this.server.url + path, { headers: { 'x-api-key': KEY } });
    if (!response.ok) throw new Error(`${path}: ${response.status}`);
    return response.text();
  }

  async conversation(): Promise<{ id: string; message: string }> {
    const { conversations } = JSON.parse(await this.read('/api/conversations')) as {
      conversations: { id: string; leaf: string }[];
    };
    return { id: conversations[0]!.id, message: conversations[0]!.leaf };
  }

  /** All that a request could change: what is kept, what was answered, who is connected. */
  async state(): Promise<unknown> {
    const { id } = await this.conversation();
    const paths = ['/api/conversations', `/api/conversations/${id}`, '/api/info', '/v1/models'];
    const kept = await Promise.all(paths.map((path) => this.read(path)));
    const counters = /^banter_(answers_total|tokens_total|live_answers|sockets|ready)\b.*$/gm;
    return { kept, counters: (await this.read('/metrics')).match(counters) };
  }

  /** How many requests each route has answered, by status. */
  async requests(): Promise<Map<string, number>> {
    const rows = (await this.read('/metrics')).matchAll(
      /^banter_http_requests_total\{route="(.*?)",status="(\d+)"\} (\d+)$/gm,
    );
    return new Map([...rows].map(([, route, status, count]) => [`${route} ${status}`, +count!]));
  }

  /** Every route of the server, with a body that it takes. */
  async aims(): Promise<Aim[]> {
    const { paths } = JSON.parse(await this.read('/openapi.json')) as {
      paths: Record<string, Record<string, { requestBody?: unknown }>>;
    };
    const { id, message } = await this.conversation();
    const model = 'scripted';
    const filled = (path: string) =>
      path.replace('{id}', id).replace('{message}', message).replace('{name}', model);
    return Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([name, { requestBody }]) => ({
        method: name.toUpperCase(),
        url: this.url + filled(path),
        ...(requestBody === undefined ? {} : { body: JSON.stringify(bodyFor(path, model)) }),
      })),
    );
  }

  async close(): Promise<void> {
    await this.context.close();
    await this.server.stop();
  }
}

/** What a route would act on. */
function bodyFor(path: string, model: string): object {
  const messages = [{ role: 'user', content: 'hello' }];
  if (path === '/api/conversations/{id}') return { title: 'stolen' };
  if (path === '/api/conversations') return {};
  if (path === '/api/session') return { key: KEY };
  if (path === '/api/models/pull' || path === '/api/models/switch') return { name: model };
  if (path === '/v1/responses') return { model, input: 'hello' };
  if (/complet|messages|chat/.test(path))
    return { model, messages, prompt: 'hello', max_tokens: 9 };
  return { model, text: 'hello', input: 'hello', prompt: 'hello' };
}

/** A port that was free a moment ago: a server's own address has to be told to it at the start. */
async function freePort(): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'banter-port-'));
  const server = await startServer(['--data', folder]);
  await server.stop();
  await rm(folder, { recursive: true });
  return server.port;
}
