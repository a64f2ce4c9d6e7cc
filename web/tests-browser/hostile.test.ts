import { createServer, type Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hostileVectors } from './hostile_vectors';
import { launchBrowser, NO_TROUBLE, visit, type Visit } from './setup/browser';
import { ChatPage } from './setup/chat_page';
import { FakeSocket } from './setup/fake_socket';
import { type Server, startServer } from './setup/server';

/** As many vectors as fit one message well; each answer is streamed one character per frame. */
const VECTORS_PER_ANSWER = 25;

let server: Server;
let browser: Browser;
let sink: HttpServer;
let sinkUrl: string;
let fetched: string[];

beforeAll(async () => {
  fetched = [];
  sink = createServer((request, response) => (fetched.push(request.url ?? ''), response.end()));
  await new Promise<void>((listening) => sink.listen(0, '127.0.0.1', listening));
  sinkUrl = `http://127.0.0.1:${(sink.address() as AddressInfo).port}`;
  [server, browser] = await Promise.all([startServer(['--demo']), launchBrowser()]);
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
  sink.close();
});

interface Counts {
  pwned: number;
  violations: string[];
}

declare global {
  interface Window {
    counts: Counts;
    pwned: () => void;
  }
}

async function open(): Promise<{ chat: ChatPage; visited: Visit }> {
  const visited = await visit(browser, server.url);
  // From now on the browser knows the name under which the settings are kept.
  await new ChatPage(visited.page).connected();
  await visited.page.addInitScript(() => {
    window.counts = { pwned: 0, violations: [] };
    window.pwned = () => (window.counts.pwned += 1);
    document.addEventListener('securitypolicyviolation', ({ blockedURI, violatedDirective }) =>
      window.counts.violations.push(`${violatedDirective} ${blockedURI}`),
    );
    // The longest answers are longer than an answer usually may be.
    const settings = { system: '', parameters: { max_tokens: 1_000_000 } };
    const draft = JSON.stringify({ message: '', edits: {}, files: [], settings });
    localStorage.setItem(`banter.drafts.${localStorage.getItem('banter.user')}.new`, draft);
    // One frame per character: every prefix of every vector is drawn once.
    window.requestAnimationFrame = (draw) => (queueMicrotask(() => draw(0)), 1);
  });
  await visited.page.reload();
  const chat = new ChatPage(visited.page);
  await chat.connected();
  return { chat, visited };
}

async function expectHarmless({ page, trouble }: Visit): Promise<void> {
  // Whatever was going to load or run has done so when the page has been idle.
  await page.waitForLoadState('networkidle');
  expect(await page.evaluate(() => window.counts)).toEqual({ pwned: 0, violations: [] });
  expect(trouble).toEqual(NO_TROUBLE);
  expect(fetched).toEqual([]);
  expect(await suspects(page)).toEqual([]);
}

/** Elements that have no business in an answer, and links that are no web addresses. */
function suspects(page: Page): Promise<string[]> {
  return page.locator('article').evaluateAll((articles) => {
    const own =
      'button svg, button svg *, .katex svg, .katex svg *, li[data-task] input[type=checkbox]:disabled';
    const bad =
      'script, img, iframe, object, embed, video, audio, style, link, meta, base, form, input, svg';
    const elements = articles.flatMap((article) => [...article.querySelectorAll(bad)]);
    const links = articles.flatMap((article) => [...article.querySelectorAll('a')]);
    return [
      ...elements.filter((element) => !element.matches(own)).map(({ outerHTML }) => outerHTML),
      ...links
        // One without an address leads nowhere.
        .filter(({ href }) => href !== '')
        .filter(({ href, rel }) => !/^(https?|mailto):/.test(href) || !rel.includes('noopener'))
        .map(String),
    ];
  });
}

describe('hostile words', () => {
  it('are at least two hundred', () =>
    expect(hostileVectors('http://x').length).toBeGreaterThanOrEqual(200));

  const vectors = hostileVectors('SINK');
  const starts = Array.from(
    { length: Math.ceil(vectors.length / VECTORS_PER_ANSWER) },
    (_, i) => i * VECTORS_PER_ANSWER,
  );
  for (const start of starts) {
    it(`run nothing, fetch nothing and break nothing, one character at a time (from ${start})`, async () => {
      const { chat, visited } = await open();
      const some = vectors.slice(start, start + VECTORS_PER_ANSWER);
      const text = some.join('\n\n').replaceAll('SINK', sinkUrl);
      await chat.say(`echo-chars ${text}\n\nthe end`);
      await chat.answers.last().filter({ hasText: 'the end' }).waitFor({ timeout: 90_000 });
      await chat.answered();
      await chat.answers.last().hover();
      await expectHarmless(visited);
      // And once more from storage, drawn whole.
      await visited.page.reload();
      await chat.shows('the end');
      await expectHarmless(visited);
      await visited.close();
    }, 180_000);
  }

  it('do no harm as a title, in a search, or as the name of a file', async () => {
    const { chat, visited } = await open();
    const { page } = visited;
    const image = `<img src=${sinkUrl}/t.png onerror=pwned()>`;
    await page.locator('form.composer input[type=file]').setInputFiles({
      name: `${image}.txt`,
      mimeType: 'text/plain',
      buffer: Buffer.from(`${image}\n<script>pwned()</script>`),
    });
    await page.getByRole('button', { name: 'Remove' }).waitFor();
    await chat.say(`${image} <script>pwned()</script>`);
    await chat.answered();
    await page
      .locator('article.user')
      .getByRole('button', { name: /onerror/ })
      .click();
    const list = await chat.list();
    await list
      .getByRole('link', { name: /onerror/ })
      .first()
      .waitFor();
    await page.getByRole('searchbox').fill('onerror');
    await list.locator('mark').first().waitFor();
    await expectHarmless(visited);
    await visited.close();
  });

  it('show a picture as a link with its whole address', async () => {
    const { chat, visited } = await open();
    await chat.ask(`echo ![a cat](${sinkUrl}/cat.png)`);
    const link = chat.answers.last().getByRole('link');
    expect(await link.innerText()).toBe(`a cat (${sinkUrl}/cat.png)`);
    await expectHarmless(visited);
    await visited.close();
  });

  it('do no harm as the name of a model, as a command or as the text of an error', async () => {
    const { chat, visited } = await open();
    const { page } = visited;
    const [script, image] = ['</code><script>pwned()</script>', '<img src=x onerror=pwned()>'];
    await page.route('**/api/info', async (route) => {
      const response = await route.fetch();
      const info = (await response.json()) as { model: object };
      const model = { ...info.model, name: image + script };
      await route.fulfill({
        response,
        json: { ...info, model, real_model_command: script + image },
      });
    });
    const socket = await FakeSocket.on(page);
    socket.refusal = { code: 'invalid_parameter', message: script + image, field: image };
    Object.assign(socket.refusal, { expected: image, found: script });
    await page.reload();
    await chat.connected();
    await chat.say(image + script);
    const alert = page.getByRole('alert');
    await alert.getByText('What the server said').click();
    await alert.filter({ hasText: script }).waitFor();
    await page
      .getByText(image + script)
      .first()
      .waitFor();
    await expectHarmless(visited);
    await visited.close();
  });
});
