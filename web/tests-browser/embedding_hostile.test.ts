/**
 * What cleans an answer in the widget, which has no DOMPurify. Pages of other sites may have no
 * policy of their own, so nothing but the cleaner stands between them and a model's words.
 */

import { createServer, type Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hostileVectors } from './hostile_vectors';
import { launchBrowser, visit, WIDE } from './setup/browser';
import { ChatServer, open, pageWith, scriptTag, Site, WidgetPage } from './setup/embedding';

const CLEANER = join(import.meta.dirname, '../src/embed/left_out/clean.ts');

let browser: Browser;
let sink: HttpServer;
let vectors: string[];
let fetched: string[];

beforeAll(async () => {
  fetched = [];
  sink = createServer((request, response) => (fetched.push(request.url ?? ''), response.end()));
  await new Promise<void>((listening) => sink.listen(0, '127.0.0.1', listening));
  vectors = hostileVectors(`http://127.0.0.1:${(sink.address() as AddressInfo).port}`);
  browser = await launchBrowser();
});
afterAll(async () => {
  await browser?.close();
  sink.close();
});

declare global {
  interface Window {
    cleaner: { cleanNodes: (html: string) => DocumentFragment };
    ran: number;
    pwned: () => void;
  }
}

function count(): void {
  window.ran = 0;
  window.pwned = () => (window.ran += 1);
}

async function expectHarmless(page: Page): Promise<void> {
  await page.waitForLoadState('networkidle');
  expect(await page.evaluate(() => window.ran)).toBe(0);
  expect(fetched).toEqual([]);
}

/** Elements and attributes that have no business in an answer, and links that lead elsewhere. */
function suspects(roots: Element[]): string[] {
  const tags =
    /^(P|BR|HR|STRONG|EM|DEL|CODE|PRE|BLOCKQUOTE|[UO]L|LI|H[1-6]|A|SPAN|DIV|TABLE|THEAD|TBODY|T[RHD]|DETAILS|SUMMARY|SUB|SUP|KBD|MARK|U|S)$/;
  const attributes =
    /^(start|href|target|rel|class|dir|tabindex|aria-[a-z]+|role|data-(math|language|open|table|align|task|footnote))$/;
  const own = 'button, button *, li[data-task] input[type=checkbox]:disabled';
  const all = roots.flatMap((root) => [...root.querySelectorAll('*')]);
  const isBad = (element: Element) =>
    !tags.test(element.nodeName) ||
    [...element.attributes].some(({ name }) => !attributes.test(name)) ||
    !/^($|https?:|mailto:)/.test((element as HTMLAnchorElement).href ?? '');
  return all.filter((one) => !one.matches(own) && isBad(one)).map(({ outerHTML }) => outerHTML);
}

describe('hostile words', () => {
  it('run nothing and fetch nothing in the widget', async () => {
    const [chat, wiki] = await Promise.all([ChatServer.start(), Site.start()]);
    const key = await chat.addKey('wiki', [wiki.origin]);
    const url = wiki.put('/', pageWith(scriptTag(chat.url, key)));
    const { page, trouble, close } = await open(browser, url, WIDE);
    await page.evaluate(count);
    const widget = new WidgetPage(page);
    await widget.show();
    const SOME = 50;
    for (let start = 0; start < vectors.length; start += SOME) {
      const end = `end of ${start}`;
      await widget.say(`echo ${[...vectors.slice(start, start + SOME), end].join('\n\n')}`);
      await widget.answers.last().filter({ hasText: end }).waitFor();
      await widget.finished();
    }
    await expectHarmless(page);
    expect(trouble.errors).toEqual([]);
    expect(trouble.dialogs).toEqual([]);
    expect(await widget.answers.evaluateAll(suspects)).toEqual([]);
    await close();
    await Promise.all([chat.stop(), wiki.stop()]);
  }, 120_000);

  it('are harmless to the cleaner even as HTML, which they are never given as', async () => {
    const built = await build({
      configFile: false,
      logLevel: 'warn',
      build: {
        write: false,
        lib: { entry: CLEANER, formats: ['iife'], name: 'cleaner' },
      },
    });
    const [script] = [built].flat().flatMap((one) => ('output' in one ? one.output : []));
    if (script?.type !== 'chunk') throw new Error('expected a script');
    const { page, trouble, close } = await visit(browser, 'about:blank', WIDE);
    await page.addScriptTag({ content: script.code });
    await page.evaluate(count);
    const more = [
      '<form><math><mtext></form><form><mglyph><style></math><img src onerror=pwned()>',
      '<svg></p><style><a id="</style><img src=1 onerror=pwned()>">',
      '<template><img src=x onerror=pwned()></template>',
      '<p id=x name=y style="color:red" onclick=pwned()>kept</p>',
      '<svg><a href="javascript:pwned()"><text>kept</text></a></svg>',
      '<noscript><p title="</noscript><img src=x onerror=pwned()>">',
      '<span data-math="inline" data-other="x">kept</span>',
      '<plaintext><script>pwned()</script>',
    ];
    const found = await page.evaluate(
      (all) => {
        const place = document.body.appendChild(document.createElement('div'));
        for (const html of all) place.append(window.cleaner.cleanNodes(html));
        // What it has made is the same after another reading: nothing hides in it.
        const [once, twice] = [place.innerHTML, document.createElement('div')];
        twice.append(window.cleaner.cleanNodes(once));
        return { same: twice.innerHTML === once, text: place.innerText };
      },
      [...vectors, ...more],
    );
    expect(found.same).toBe(true);
    expect(found.text.match(/kept/g)).toHaveLength(3);
    expect(await page.locator('div').first().evaluateAll(suspects)).toEqual([]);
    await expectHarmless(page);
    expect(trouble.errors).toEqual([]);
    await close();
  });
});
