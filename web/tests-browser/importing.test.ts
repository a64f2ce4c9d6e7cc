/** Conversations that come from elsewhere: from files, and from earlier versions of the page. */

import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import type { ChatPage } from './setup/chat_page';
import { Pages } from './setup/pages';

const pages = new Pages();

/** An entry of the browser's storage. */
type Entry = readonly [key: string, value: string];

function user(page: Page): Promise<string> {
  return page.evaluate(() => localStorage.getItem('banter.user')!);
}

/** A question and its answer as the page kept them before the server had conversations. */
function turn(owner: string, id: number, question: string, answer: string): Entry {
  const rest = { outcome: { kind: 'complete' }, figures: null, thinking: null, replaces: null };
  const value = {
    version: 2,
    window: '4711',
    question: { id, role: 'user', text: question, ...rest },
    answer: { id: id + 1, role: 'assistant', text: answer, ...rest },
  };
  return [`banter.turn.${owner}.${id}`, JSON.stringify(value)];
}

/** Loads the page again with what an earlier one had kept. */
async function loadWith({ page }: ChatPage, entries: readonly Entry[]): Promise<void> {
  await page.evaluate((all) => {
    for (const [key, value] of all) localStorage.setItem(key, value);
  }, entries);
  await page.reload();
}

async function earlierKeys(page: Page): Promise<string[]> {
  const keys = await page.evaluate(() => Object.keys(localStorage));
  return keys.filter((key) => /^banter\.(turn|thread|conversation)/.test(key));
}

describe('conversations that an earlier page has kept in the browser', () => {
  it('are in the list after one load, once, with their versions', async () => {
    const { chat, page } = await pages.open();
    const owner = await user(page);
    const entries = [
      turn(owner, 1_500_000_000_000_000, 'The first question', 'the first answer'),
      turn(owner, 1_500_000_000_000_100, 'The old second', 'the old answer'),
      turn(owner, 1_500_000_000_000_300, 'The new second', 'the new answer'),
      turn('somebody', 1_500_000_000_000_400, 'A secret', 'of another person'),
    ];
    const replaced = { id: 1_500_000_000_000_200, kind: 'replaced', from: 1_500_000_000_000_200 };
    const shelf = [{ ...replaced, cut: null, turns: [1_500_000_000_000_100] }];
    const index: Entry = [`banter.thread.${owner}`, JSON.stringify({ version: 2, shelf })];
    await loadWith(chat, [...entries, index]);
    const link = await chat.inList('The first question');
    await link.waitFor();
    await expect.poll(() => earlierKeys(page)).toEqual(['banter.turn.somebody.1500000000000400']);
    await page.reload();
    await chat.connected();
    await (await chat.inList(/The first question/)).waitFor();
    expect(await (await chat.inList(/secret/)).count()).toBe(0);
    await (await chat.inList('The first question')).click();
    await chat.shows('the new answer');
    expect(await chat.questions.allInnerTexts()).toEqual(['The first question', 'The new second']);
    await page.getByRole('button', { name: 'Earlier version', exact: true }).click();
    await chat.shows('the old answer');
    expect(await chat.ask('another question')).toContain('another question');
  });

  it('of the first version, when persons were not told apart, belong to the first who comes', async () => {
    const { chat, page } = await pages.open();
    const messages = [
      { id: 0, role: 'user', text: 'From the very first page', outcome: { kind: 'complete' } },
      { id: 1, role: 'assistant', text: 'an old answer', outcome: { kind: 'stopped' } },
    ];
    await loadWith(chat, [['banter.conversation', JSON.stringify({ version: 1, messages })]]);
    await (await chat.inList('From the very first page')).click();
    await chat.shows('an old answer');
    await expect.poll(() => earlierKeys(page)).toEqual([]);
  });

  it('stay where they are if the server refuses them', async () => {
    const { chat, page } = await pages.open();
    await page.route('**/api/conversations/import', (route) =>
      route.fulfill({
        json: { conversations: 0, messages: 0, left_out: ['"": no room'], left_out_count: 1 },
      }),
    );
    const entry = turn(await user(page), 1_500_000_000_000_000, 'Refused question', 'answer');
    await loadWith(chat, [entry]);
    const refused =
      'The server did not take conversations that an earlier version of this page has kept';
    await page.getByRole('alert').filter({ hasText: refused }).waitFor();
    expect(await earlierKeys(page)).toEqual([entry[0]]);
    expect(await (await chat.inList('Refused question')).count()).toBe(0);
  });
});

describe('a file that is no export', () => {
  interface Case {
    readonly name: string;
    readonly text: string;
    readonly told: RegExp;
    readonly detail: RegExp;
  }
  const cases: Case[] = [
    {
      name: 'notes.json',
      text: 'not JSON',
      told: /“notes.json” is not a JSON file\. Choose a file that banter, ChatGPT/,
      detail: /not a JSON request/,
    },
    {
      name: 'package.json',
      text: '{"name": "banter"}',
      told: /“package.json” is JSON, but of another kind\. Choose a file that banter, ChatGPT/,
      detail: /an object with 1 fields/,
    },
    {
      name: 'newer.json',
      text: '{"format": "banter", "version": 99, "conversations": []}',
      told: /a newer banter has written “newer.json”\. Update this server first\./,
      detail: /expected a number up to 1, found 99/,
    },
  ];
  for (const { name, text, told, detail } of cases) {
    it(`as ${name}, is refused in plain words, with the server's in second place`, async () => {
      const { chat, page } = await pages.open();
      await chat.list();
      await page.getByRole('button', { name: 'All conversations' }).click();
      const chooser = page.waitForEvent('filechooser');
      await page.getByRole('menuitem', { name: 'Import a file' }).click();
      const file = { name, mimeType: 'application/json', buffer: Buffer.from(text) };
      await (await chooser).setFiles(file);
      const report = page.getByRole('status').filter({ hasText: told });
      await report.waitFor();
      expect(await report.getByText(detail).isVisible()).toBe(false);
      await report.getByText('What the server said').click();
      await report.getByText(detail).waitFor();
      await report.getByRole('button', { name: 'Dismiss' }).click();
      await report.waitFor({ state: 'hidden' });
    });
  }
});
