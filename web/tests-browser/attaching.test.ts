/** Messages with files, from the refusal of a file to the search for what is in one. */

import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { choose, file } from './setup/files';
import { type Opened, Pages } from './setup/pages';

const pages = new Pages();

/** Sends a message with files, and waits for its answer. */
async function sendWith({ chat, page }: Opened, text: string, ...names: string[]): Promise<void> {
  await choose(page, ...names.map((name) => file(name, `inside of ${name}`)));
  for (const name of names) await page.getByRole('button', { name: `Remove ${name}` }).waitFor();
  await chat.field.fill(text);
  await chat.submit();
  await page.locator('article.assistant').last().waitFor();
  await chat.answered();
}

function chips(page: Page) {
  return page.locator('article.user').getByRole('button', { name: /^Remove / });
}

function sentFiles(page: Page): Promise<string[]> {
  return page.locator('article.user').last().locator('li').allInnerTexts();
}

describe('a message with files', () => {
  it('gives the conversation its first words as a title, and is found by them', async () => {
    const opened = await pages.open();
    const { chat, page } = opened;
    await sendWith(opened, 'Which kumquats are ripe?', 'harvest.txt');
    await (await chat.inList('Which kumquats are ripe?')).waitFor();
    await page.getByRole('searchbox').fill('kumquats');
    const list = await chat.list();
    await list.locator('mark').first().waitFor();
    expect(await list.innerText()).not.toContain('File:');
    await page.getByRole('searchbox').fill('inside harvest');
    await list.getByText('inside of harvest.txt').first().waitFor();
  });

  it('shows its files while it is edited, and they can be taken out', async () => {
    const opened = await pages.open();
    const { chat, page } = opened;
    await sendWith(opened, 'What is in them?', 'one.txt', 'two.txt', 'three.txt');
    await page.locator('article.user').hover();
    await page.getByRole('button', { name: 'Edit this message' }).click();
    const editor = page.getByRole('textbox', { name: 'Edit this message' });
    expect(await editor.inputValue()).toBe('What is in them?');
    expect(await chips(page).count()).toBe(3);
    await page.getByRole('button', { name: 'Remove one.txt' }).click();
    await page.getByRole('button', { name: 'Remove three.txt' }).click();
    expect(await editor.evaluate((field) => field === document.activeElement)).toBe(true);
    await editor.fill('What is in it?');
    // What is edited outlives a reload.
    await expect
      .poll(() => page.evaluate(() => JSON.stringify(localStorage)))
      .toContain('What is in it?');
    await page.reload();
    await chat.connected();
    await expect.poll(() => chips(page).count()).toBe(1);
    await chat.submitEdit(editor);
    await chat.questions.filter({ hasText: 'What is in it?' }).waitFor();
    await chat.answered();
    expect(await sentFiles(page)).toEqual(['two.txt']);
    expect(await chat.lastAnswer()).toContain('inside of two.txt');
    expect(await chat.lastAnswer()).not.toContain('inside of one.txt');
  });

  it('has all of its files again if the change is given up', async () => {
    const opened = await pages.open();
    const { page } = opened;
    await sendWith(opened, 'What is it?', 'one.txt');
    await page.locator('article.user').hover();
    await page.getByRole('button', { name: 'Edit this message' }).click();
    await page.getByRole('button', { name: 'Remove one.txt' }).click();
    await page.getByRole('button', { name: 'Cancel' }).click();
    expect(await sentFiles(page)).toEqual(['one.txt']);
  });
});

describe('the refusal of a file', () => {
  it('goes when the message is sent', async () => {
    const { chat, page } = await pages.open();
    await choose(page, file('empty.txt', ''));
    await page.getByRole('alert').filter({ hasText: 'empty.txt' }).waitFor();
    await chat.ask('without a file');
    expect(await page.getByRole('alert').count()).toBe(0);
  });

  it('goes when another conversation is shown', async () => {
    const { chat, page } = await pages.open();
    await chat.ask('something');
    await choose(page, file('empty.txt', ''));
    await page.getByRole('alert').filter({ hasText: 'empty.txt' }).waitFor();
    await chat.newConversation();
    await expect.poll(() => page.getByRole('alert').count()).toBe(0);
  });
});
