/** Sites of other origins that have the widget, and a server with keys for them. */

import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type {
  Browser,
  BrowserContext,
  BrowserContextOptions,
  FrameLocator,
  Locator,
  Page,
} from 'playwright-core';
import { inject } from 'vitest';
import { type Server, startServer } from './server';
import { type Visit, visit, visitIn } from './browser';

export interface SitePage {
  readonly body: string;
  readonly headers?: Record<string, string>;
}

/** A site: some pages of one origin. */
export class Site {
  readonly pages = new Map<string, SitePage>();
  private readonly server = createServer((request, response) => {
    const page = this.pages.get(new URL(request.url ?? '/', 'http://site').pathname);
    response.writeHead(page ? 200 : 404, {
      'content-type': 'text/html; charset=utf-8',
      ...page?.headers,
    });
    response.end(page?.body ?? '');
  });

  static async start(): Promise<Site> {
    const site = new Site();
    await new Promise<void>((ready) => site.server.listen(0, '127.0.0.1', ready));
    return site;
  }

  /** Another site than the server's, which is at `localhost`. */
  get origin(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Puts a page at a path, and returns its address. */
  put(path: string, body: string, headers: Record<string, string> = {}): string {
    this.pages.set(path, { body, headers });
    return this.origin + path;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((closed) => this.server.close(closed));
  }
}

/** A server with a folder, so that keys can be made and revoked while it runs. */
export class ChatServer {
  private constructor(
    readonly server: Server,
    private readonly data: string,
  ) {}

  static async start(): Promise<ChatServer> {
    const data = await mkdtemp(join(tmpdir(), 'banter-embed-'));
    return new ChatServer(await startServer(['--data', data]), data);
  }

  get url(): string {
    return this.server.url;
  }

  /** Makes a key for visitors; the server knows it by now. */
  async addKey(name: string, origins: readonly string[], more: readonly string[] = []) {
    const pages = origins.flatMap((origin) => ['--origin', origin]);
    const key = this.run(['add', name, '--scope', 'embed', ...pages, ...more]);
    await this.until(key, 200);
    return key;
  }

  async revoke(name: string, key: string): Promise<void> {
    this.run(['revoke', name]);
    await this.until(key, 404);
  }

  async stop(): Promise<void> {
    await this.server.stop();
    await rm(this.data, { recursive: true, force: true });
  }

  private run(command: readonly string[]): string {
    const all = ['key', ...command, '--data', this.data];
    const options = { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] } as const;
    return execFileSync(inject('banter'), all, { ...options, stdio: [...options.stdio] }).trim();
  }

  private async until(key: string, status: number): Promise<void> {
    while ((await fetch(`${this.url}/embed?key=${key}`)).status !== status);
  }
}

/** A page that somebody else wrote, with the widget. */
export function pageWith(markup: string, lang = 'en'): string {
  return `<!doctype html>
<html lang="${lang}">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width" />
    <title>Wiki</title>
  </head>
  <body>
    <main><h1>Wiki</h1><p>Words, and <a href="#more">a link</a>.</p></main>
    ${markup}
  </body>
</html>`;
}

export function scriptTag(host: string, key: string, attributes = ''): string {
  return `<script src="${host}/embed.js" data-key="${key}" ${attributes} async></script>`;
}

/**
 * Opens a page. The widget's shadow tree is closed, so the browser is told to open all such trees:
 * otherwise a test would see no more of it than the page does.
 */
export async function open(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<Visit> {
  return openTrees(await visit(browser, 'about:blank', options), url);
}

/** The same in a browser that keeps things in a folder. */
export async function openIn(context: BrowserContext, url: string): Promise<Visit> {
  return openTrees(await visitIn(context, 'about:blank'), url);
}

async function openTrees(opened: Visit, url: string): Promise<Visit> {
  await opened.page.addInitScript(() => {
    const attach = Element.prototype.attachShadow;
    Element.prototype.attachShadow = function (init) {
      return attach.call(this, { ...init, mode: 'open' });
    };
  });
  await opened.page.goto(url);
  return opened;
}

/** The widget as a visitor sees it, on a page or in a frame. */
export class WidgetPage {
  constructor(
    private readonly page: Page | FrameLocator,
    private readonly title = 'Chat',
  ) {}

  get bubble(): Locator {
    return this.page.getByRole('button', { name: `Open: ${this.title}` });
  }

  get dialog(): Locator {
    return this.page.getByRole('dialog', { name: this.title });
  }

  get field(): Locator {
    return this.page.getByRole('textbox', { name: 'Your message' });
  }

  get status(): Locator {
    return this.page.getByRole('status');
  }

  get answers(): Locator {
    return this.page.locator('.answer');
  }

  button(name: string): Locator {
    return this.page.getByRole('button', { name, exact: true });
  }

  async show(): Promise<void> {
    await this.bubble.click();
    await this.field.waitFor();
  }

  /** Sends a message by Enter: the button ignores presses right after an answer has ended. */
  async say(text: string): Promise<void> {
    await this.field.fill(text);
    await this.field.press('Enter');
  }

  async shows(text: string): Promise<void> {
    await this.answers.filter({ hasText: text }).first().waitFor();
  }

  async ask(text: string): Promise<void> {
    await this.say(text);
    await this.shows(`You said: ${text}`);
  }

  /** Nothing is being answered any more. */
  async finished(): Promise<void> {
    await this.status.filter({ hasText: 'Connected' }).waitFor({ state: 'attached' });
  }
}
