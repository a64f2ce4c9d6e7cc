/** What people change of conversations: told if it fails, in its order, and never lost. */

import type { Page, Request } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { ChatPage } from './setup/chat_page';
import { ask, exchange, type OpenedFake, Pages } from './setup/pages';
import { startServer } from './setup/server';

const pages = new Pages();

const ONE = '**/api/conversations/*';

/** Every change that the page sends from now on is answered by the test. */
async function holdChanges(page: Page) {
  const held: {
    patch: Record<string, unknown>;
    reply: (status: number) => Promise<void>;
    pass: () => Promise<void>;
  }[] = [];
  await page.route(ONE, async (route) => {
    if (route.request().method() !== 'PATCH') return route.fallback();
    const patch = route.request().postDataJSON() as Record<string, unknown>;
    held.push({
      patch,
      reply: (status) => route.fulfill({ status, json: {} }),
      pass: () => route.fallback(),
    });
  });
  return held;
}

async function openSettings(page: Page): Promise<void> {
  await page.keyboard.press('Control+,');
  await page.getByRole('dialog', { name: 'Settings' }).waitFor();
}

function failure(page: Page, text: string | RegExp) {
  // On a phone it is shown in the drawer, too.
  return page.getByRole('alert').filter({ hasText: text }).first();
}

describe('a change', () => {
  it('of the settings goes with the one before it, and the last word counts', async () => {
    const { chat, page } = await pages.open();
    await chat.ask('one');
    const held = await holdChanges(page);
    await openSettings(page);
    const field = page.getByRole('spinbutton', { name: 'Temperature' });
    for (const value of ['0.1', '0.2', '0.3']) await field.fill(value);
    await expect.poll(() => held.length).toBe(1);
    await held[0]!.reply(200);
    await expect.poll(() => held.length).toBe(2);
    expect(held.map(({ patch }) => patch.parameters)).toEqual([
      { temperature: 0.1 },
      { temperature: 0.3 },
    ]);
    await held[1]!.reply(200);
    expect(await field.inputValue()).toBe('0.3');
  });

  it('of the settings counts for the message that is sent right after it', async () => {
    const { chat, page } = await pages.open();
    await chat.ask('hello');
    const held = await holdChanges(page);
    await openSettings(page);
    await page.getByRole('spinbutton', { name: 'Longest answer' }).fill('3');
    await page.keyboard.press('Escape');
    await chat.field.fill('tokens 50');
    await chat.submit();
    await expect.poll(() => held.length).toBe(1);
    expect(await chat.answers.count()).toBe(1);
    await held[0]!.pass();
    await chat.shows('word2');
    await chat.answered();
    expect(await chat.lastAnswer()).toBe('word0 word1 word2');
  });

  it('that the server refuses is told, and what was there before is shown', async () => {
    const { chat, page } = await pages.open();
    await chat.ask('a title to keep');
    const held = await holdChanges(page);
    await rename(chat, 'a title to keep', 'another title');
    await expect.poll(() => held.length).toBe(1);
    await (await chat.inList('another title')).waitFor();
    await held[0]!.reply(507);
    await failure(page, /refused the change of “a title to keep”/).waitFor();
    await (await chat.inList('a title to keep')).waitFor();
    await failure(page, /refused/)
      .getByRole('button', { name: 'Dismiss' })
      .click();
    await failure(page, /refused/).waitFor({ state: 'detached' });
  });

  it('that is made without a connection is sent when it is back', async () => {
    const server = await startServer(['--demo']);
    const page = await pages.visit({}, server.url);
    const chat = new ChatPage(page);
    await chat.connected();
    await chat.ask('to be renamed');
    await page.route(ONE, (route) => route.abort());
    await rename(chat, 'to be renamed', 'renamed');
    await (await chat.inList('renamed')).waitFor();
    await page.unroute(ONE);
    const sent = page.waitForRequest((request: Request) => request.method() === 'PATCH');
    // What says that the network is there again.
    await page.evaluate(() => window.dispatchEvent(new Event('online')));
    await sent;
    await expect.poll(() => titlesAt(server.url)).toEqual(['renamed']);
    await server.stop();
  });

  it('of many bytes reaches the server, too', async () => {
    const { chat, page } = await pages.open();
    await chat.ask('hello');
    await openSettings(page);
    const instruction = '长'.repeat(30_000);
    const saved = page.waitForResponse((response) => response.request().method() === 'PATCH');
    await page.getByLabel('Instruction').first().fill(instruction);
    await page.keyboard.press('Tab');
    expect((await saved).status()).toBe(200);
  });
});

describe('deleting', () => {
  it('a question and its answers asks once more', async () => {
    const { chat, page } = await pages.open();
    for (const text of ['one', 'two']) await chat.ask(text);
    await chat.inMenuOf(page.locator('article.user').first(), 'Delete question and answers');
    await page.getByRole('menuitem', { name: 'Press again' }).waitFor();
    await page.keyboard.press('Escape');
    expect(await chat.questions.allInnerTexts()).toEqual(['one', 'two']);
    await chat.deletePairOf(page.locator('article.user').first());
    await expect.poll(() => chat.questions.allInnerTexts()).toEqual(['two']);
  });

  it('that fails is told, and the conversation is listed again', async () => {
    const { chat, page } = await pages.open();
    await chat.ask('not to be deleted');
    await page.route(ONE, (route) =>
      route.request().method() === 'DELETE' ? route.abort() : route.fallback(),
    );
    await page.clock.install();
    await chat.inListMenuOf('not to be deleted', 'Delete');
    await page.getByText('Deleted.').waitFor();
    await page.clock.fastForward(10_000);
    await failure(page, /“not to be deleted” could not be deleted/).waitFor();
    await (await chat.inList('not to be deleted')).waitFor();
  });
});

describe('who reads further up', () => {
  async function scrolledUp(opened: OpenedFake): Promise<number> {
    const lines = (name: string) =>
      Array.from({ length: 60 }, (_, at) => `${name} line ${at}`).join('\n\n');
    for (const name of ['first', 'second']) await exchange(opened, name, lines(name));
    const { page } = opened;
    await page.locator('.scroller[role=region]').hover();
    await page.mouse.wheel(0, -2_000);
    await page.getByRole('button', { name: 'Newest words' }).waitFor();
    return topOf(page);
  }

  /** Where a line in the middle is seen. */
  function topOf(page: Page): Promise<number> {
    return page
      .getByText('second line 20', { exact: true })
      .evaluate((line) => Math.round(line.getBoundingClientRect().top));
  }

  it('goes on there after a reload', async () => {
    const opened = await pages.openFake();
    await scrolledUp(opened);
    await expect.poll(() => settled(opened.page, topOf)).toBe(true);
    const before = await topOf(opened.page);
    await opened.page.reload();
    await expect.poll(() => near(opened.page, topOf, before)).toBe(true);
  });

  it('goes on there after another conversation', async () => {
    const opened = await pages.openFake();
    await scrolledUp(opened);
    await expect.poll(() => settled(opened.page, topOf)).toBe(true);
    const before = await topOf(opened.page);
    await opened.chat.newConversation();
    await opened.page.goBack();
    await expect.poll(() => near(opened.page, topOf, before)).toBe(true);
  });
});

describe('two tabs that write a first message', () => {
  it('keep their own texts', async () => {
    const opened = await pages.openFake();
    const { chat, page, socket } = opened;
    const two = await page.context().newPage();
    await two.goto(pages.url);
    const other = new ChatPage(two);
    await other.connected();
    await other.field.fill('of the second tab');
    await page.bringToFront();
    await ask(opened, 'of the first tab');
    socket.end('answer');
    await chat.answered();
    expect(await other.field.inputValue()).toBe('of the second tab');
    await two.reload();
    await other.connected();
    expect(await other.field.inputValue()).toBe('of the second tab');
  });
});

describe('an address', () => {
  it('of something that is no conversation says so', async () => {
    const { page } = await pages.open();
    await page.goto(`${pages.url}#/c/${'x'.repeat(64)}`);
    await page.getByText('This conversation is not there any more').waitFor();
    await page.getByRole('button', { name: 'New conversation' }).last().click();
    await page.getByRole('heading', { name: 'banter', level: 2 }).waitFor();
  });
});

describe('an edit that was refused', () => {
  it('goes back to its editor', async () => {
    const opened = await pages.openFake();
    const { chat, page, socket } = opened;
    await exchange(opened, 'a first try');
    socket.refusal = { code: 'busy' };
    await page.locator('article.user').hover();
    await page.getByRole('button', { name: 'Edit this message' }).click();
    const editor = page.getByRole('textbox', { name: 'Edit this message' });
    await editor.fill('a second try');
    await chat.submitEdit(editor);
    await page.getByRole('button', { name: 'Ask again' }).waitFor();
    await page.getByRole('button', { name: 'Edit the question' }).click();
    expect(await editor.inputValue()).toBe('a second try');
    expect(await chat.field.inputValue()).toBe('');
  });
});

describe('a new conversation that was refused', () => {
  it('is found again in the list', async () => {
    const opened = await pages.openFake();
    const { chat, page, socket } = opened;
    socket.refusal = { code: 'busy' };
    await ask(opened, 'refused at first');
    await page.getByRole('button', { name: 'Ask again' }).waitFor();
    await chat.newConversation();
    await (await chat.list()).getByRole('button', { name: 'refused at first' }).click();
    await page.getByRole('button', { name: 'Ask again' }).click();
    await socket.receives(2);
    socket.end('answered at last');
    await chat.shows('answered at last');
    expect(await (await chat.list()).getByText('Not sent yet').count()).toBe(0);
  });
});

/** Whether something is where it was, but for the fraction of a pixel. */
async function near(page: Page, of: (page: Page) => Promise<number>, before: number) {
  const line = page.getByText('second line 20', { exact: true });
  return (await line.count()) === 1 && Math.abs((await of(page)) - before) <= 2;
}

/** Whether scrolling has come to its end. */
async function settled(page: Page, of: (page: Page) => Promise<number>): Promise<boolean> {
  const before = await of(page);
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(resolve)));
  return before === (await of(page));
}

async function rename(chat: ChatPage, title: string, better: string): Promise<void> {
  await chat.inListMenuOf(title, 'Rename');
  await chat.page.getByRole('textbox', { name: 'Title' }).fill(better);
  await chat.page.keyboard.press('Enter');
}

async function titlesAt(url: string): Promise<(string | null)[]> {
  const response = await fetch(new URL('api/conversations', url));
  const { conversations } = (await response.json()) as {
    conversations: { title: string | null }[];
  };
  return conversations.map(({ title }) => title);
}

describe('the menu of a conversation in the list', () => {
  it('is seen as a whole, wherever its row is', async () => {
    const { chat, page } = await pages.open();
    for (let at = 1; at <= 12; at += 1) {
      await chat.ask(`conversation ${at}`);
      await chat.newConversation();
    }
    for (const title of ['conversation 12', 'conversation 1']) {
      await (await chat.inList(new RegExp(`${title}$`))).hover();
      await page.getByRole('button', { name: `Actions for “${title}”` }).click();
      const items = page.getByRole('menuitem');
      await items.first().waitFor();
      // What is under the end of its label is the item itself.
      const seen = await items.evaluateAll((all) =>
        all.map((item) => {
          const { right, top, height } = item.getBoundingClientRect();
          return item.contains(document.elementFromPoint(right - 8, top + height / 2));
        }),
      );
      expect(seen.length).toBeGreaterThan(3);
      expect(seen).not.toContain(false);
      await page.keyboard.press('Escape');
    }
  });
});
