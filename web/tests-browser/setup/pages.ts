/**
 * What the tests of one file share: a server with the scripted backend, a browser, and pages that
 * must be healthy when a test ends.
 */

import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import { launchBrowser, NO_TROUBLE, visit, type Visit } from './browser';
import { ChatPage } from './chat_page';
import { FakeSocket } from './fake_socket';
import { type Server, startServer } from './server';

export interface Opened {
  readonly chat: ChatPage;
  readonly page: Page;
}

export interface OpenedFake extends Opened {
  readonly socket: FakeSocket;
}

export class Pages {
  private server!: Server;
  private browser!: Browser;
  private visits: Visit[] = [];
  /** The servers of single tests. */
  private servers: Server[] = [];

  /** Called once in a file, outside of its tests. */
  constructor() {
    beforeAll(async () => {
      [this.server, this.browser] = await Promise.all([startServer(['--demo']), launchBrowser()]);
    });
    afterAll(async () => {
      await this.browser?.close();
      await this.server?.stop();
    });
    afterEach(async () => {
      for (const { trouble, close } of this.visits.splice(0)) {
        expect(trouble).toEqual(NO_TROUBLE);
        await close();
      }
      for (const server of this.servers.splice(0)) await server.stop();
    });
  }

  get url(): string {
    return this.server.url;
  }

  /** A page at the server's address, or at that of another server. */
  async visit(options: BrowserContextOptions = {}, url = this.url): Promise<Page> {
    const visited = await visit(this.browser, url, options);
    this.visits.push(visited);
    return visited.page;
  }

  /** A connected page. */
  async open(options: BrowserContextOptions = {}): Promise<Opened> {
    const page = await this.visit(options);
    const chat = new ChatPage(page);
    await chat.connected();
    return { chat, page };
  }

  /** A connected page of a server that nobody has asked anything. It ends with the test. */
  async openAlone(): Promise<Opened> {
    const server = await startServer(['--demo']);
    this.servers.push(server);
    const page = await this.visit({}, server.url);
    const chat = new ChatPage(page);
    await chat.connected();
    return { chat, page };
  }

  /** A connected page; the test holds the other end of its socket. */
  async openFake(options: BrowserContextOptions = {}): Promise<OpenedFake> {
    const page = await this.visit(options);
    const socket = await FakeSocket.on(page);
    await page.reload();
    const chat = new ChatPage(page);
    await chat.connected();
    return { chat, page, socket };
  }
}

/** Asks. Resolves when the test has the question. */
export async function ask({ chat, socket }: OpenedFake, question = 'question'): Promise<void> {
  const before = socket.sent.length;
  await chat.press(question);
  await socket.receives(before + 1);
}

/** Asks and answers. */
export async function exchange(
  opened: OpenedFake,
  question = 'question',
  answer = 'answer',
): Promise<void> {
  await ask(opened, question);
  opened.socket.end(answer);
  await opened.chat.answered();
}
