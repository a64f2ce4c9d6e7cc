import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { violations } from './setup/axe';
import { launchBrowser, NO_TROUBLE, SMALL_PHONE, visit, type Visit, WIDE } from './setup/browser';
import { ChatPage } from './setup/chat_page';
import { RICH_ANSWER } from './setup/rich_answer';
import { type Server, startServer } from './setup/server';

let server: Server;
let browser: Browser;

beforeAll(async () => {
  [server, browser] = await Promise.all([startServer(['--demo', '--insecure']), launchBrowser()]);
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

const SIZES = { wide: WIDE, phone: SMALL_PHONE };

async function open(options = {}): Promise<{ chat: ChatPage; visited: Visit }> {
  const visited = await visit(browser, server.url, options);
  const chat = new ChatPage(visited.page);
  await chat.connected();
  return { chat, visited };
}

describe('accessibility', () => {
  for (const [size, options] of Object.entries(SIZES)) {
    for (const colorScheme of ['light', 'dark'] as const) {
      it(`axe finds nothing: ${size}, ${colorScheme}`, async () => {
        const { chat, visited } = await open({ ...options, colorScheme });
        const { page } = visited;
        expect(await violations(page), 'empty').toEqual([]);
        await chat.press('busy');
        await page.getByRole('alert').waitFor();
        await chat.press(`echo ${RICH_ANSWER}`);
        await page.locator('.katex').nth(1).waitFor();
        await page.locator('.hljs-keyword').first().waitFor();
        expect(await violations(page), 'answered').toEqual([]);
        await chat.press('tokens 100000 10');
        await chat.shows('word9');
        expect(await violations(page), 'streaming').toEqual([]);
        await chat.stop.click();
        await chat.answered();
        await page.getByRole('button', { name: 'Settings', exact: true }).click();
        expect(await violations(page), 'settings').toEqual([]);
        expect(visited.trouble).toEqual(NO_TROUBLE);
        await visited.close();
      });
    }
  }

  it('axe finds nothing on the sign-in form', async () => {
    const visited = await visit(browser, `${server.url}/#code=refused`);
    await visited.page.getByRole('alert').filter({ hasText: 'link was used before' }).waitFor();
    expect(await violations(visited.page)).toEqual([]);
    await visited.close();
  });
});

describe('layout', () => {
  it('nothing shifts while 2,000 tokens stream', async () => {
    const { chat, visited } = await open();
    await chat.press('tokens 2000 1');
    await watchShifts(visited.page);
    await chat.shows('word1999');
    await chat.answered();
    expect(await shifts(visited.page)).toEqual([]);
    await visited.close();
  });

  it('nothing shifts while code, tables and formulas stream', async () => {
    const { chat, visited } = await open();
    await chat.ask('echo $x$ and\n\n```python\nimport this\n```');
    await visited.page.locator('.katex').waitFor();
    // Not used yet: what comes when it is would move what is drawn.
    expect(await visited.page.evaluate(() => document.fonts.check('1em KaTeX_Size2'))).toBe(true);
    await chat.press(`echo-chars ${RICH_ANSWER}`);
    await watchShifts(visited.page);
    await chat.answered();
    await visited.page.locator('.hljs-number').waitFor();
    expect(await shifts(visited.page)).toEqual([]);
    await visited.close();
  });

  for (const width of [320, 360, 640, 2_560]) {
    it(`nothing is wider than the screen at ${width} px`, async () => {
      const { chat, visited } = await open({ viewport: { width, height: 740 } });
      await chat.press(`echo ${RICH_ANSWER}`);
      await visited.page.locator('.katex').nth(1).waitFor();
      const widths = await visited.page.evaluate(() =>
        [document.documentElement, document.querySelector('[role=region]')!].map(
          (e) => e.scrollWidth - e.clientWidth,
        ),
      );
      expect(widths).toEqual([0, 0]);
      await visited.close();
    });
  }

  it('everything that can be pressed on a phone is 44 px high', async () => {
    const { chat, visited } = await open(SIZES.phone);
    await chat.press('busy');
    await visited.page.getByRole('alert').waitFor();
    const low = await visited.page
      .locator('button:visible')
      .evaluateAll((buttons) =>
        buttons
          .filter((b) => b.getBoundingClientRect().height < 44)
          .map((b) => b.textContent || b.ariaLabel),
      );
    expect(low).toEqual([]);
    await visited.close();
  });

  it('the composer stays where it is while an answer comes and goes', async () => {
    const { chat, visited } = await open();
    const place = async () => JSON.stringify(await chat.field.boundingBox());
    const before = await place();
    await chat.press('tokens 100 5');
    await chat.shows('word50');
    expect(await place()).toBe(before);
    await chat.answered();
    expect(await place()).toBe(before);
    await visited.close();
  });
});

declare global {
  interface Window {
    shifts: string[];
  }
}

/**
 * Begins to watch once the field has shrunk around what was sent: on a busy machine that comes too
 * long after the press to count as its doing.
 */
async function watchShifts(page: Page): Promise<void> {
  await page.evaluate(async () => {
    const frame = () => new Promise(requestAnimationFrame);
    await frame();
    await frame();
    window.shifts = [];
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries() as (PerformanceEntry & {
        value: number;
        hadRecentInput: boolean;
        sources: { node: Node | null }[];
      })[]) {
        const what = entry.sources.map(({ node }) =>
          node instanceof Element ? node.outerHTML.slice(0, 80) : String(node?.textContent),
        );
        if (!entry.hadRecentInput) window.shifts.push(`${entry.value} ${what.join(' | ')}`);
      }
    }).observe({ type: 'layout-shift' });
  });
}

function shifts(page: Page): Promise<string[]> {
  return page.evaluate(() => window.shifts);
}
