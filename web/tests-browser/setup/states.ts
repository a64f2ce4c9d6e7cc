/**
 * The states that the page can be in, and how a person gets there. A new state is one entry; axe
 * looks at all of them, and pictures are taken of some.
 */

import type { Page } from 'playwright-core';
import { typeNumber } from './fields';
import { choose, file } from './files';
import { showModels } from './models';
import { ask, exchange, type Opened, type OpenedFake, type Pages } from './pages';
import { RICH_ANSWER } from './rich_answer';

const HANGZHOU = 'Help me plan three days in Hangzhou';

export interface State {
  readonly name: string;
  /** Brings a new page into the state. */
  reach(pages: Pages): Promise<Page>;
}

function state(name: string, reach: (pages: Pages) => Promise<Page>): State {
  return { name, reach };
}

/** A state of a page with three conversations, whose list is shown. */
function listed(name: string, reach: (opened: Opened) => Promise<unknown>): State {
  return state(name, async (pages) => {
    const opened = await pages.openAlone();
    for (const [at, question] of TITLES.entries()) {
      if (at > 0) await opened.chat.newConversation();
      await opened.chat.ask(question);
    }
    await opened.chat.list();
    await reach(opened);
    return opened.page;
  });
}

const TITLES = ['Explain how a hash table works', HANGZHOU, '写一首关于春天的诗'];

/** A state of a page whose server is the test. */
function fake(name: string, reach: (opened: OpenedFake) => Promise<unknown>): State {
  return state(name, async (pages) => {
    const opened = await pages.openFake();
    await reach(opened);
    return opened.page;
  });
}

const CONVERSATIONS: readonly State[] = [
  state('an empty page', async (pages) => (await pages.openAlone()).page),
  fake('a conversation', async (opened) => {
    const { page, socket } = opened;
    await ask(opened, 'Show me everything that an answer can hold.');
    socket.context([], 900, 4_096);
    socket.end(RICH_ANSWER);
    await opened.chat.answered();
    await page.locator('.katex').nth(1).waitFor();
    await page.locator('.hljs-keyword').first().waitFor();
  }),
  fake('versions', async (opened) => {
    const { page, socket, chat } = opened;
    await exchange(opened, 'Which of them is better?', 'The first one.');
    await page.getByRole('button', { name: 'Answer again' }).click();
    await socket.receives(2);
    socket.end('The second one, after some thought.');
    await chat.answered();
    await page.getByText('2/2').waitFor();
  }),
  fake('messages that no longer fit', async (opened) => {
    await exchange(opened, 'first', 'first answer');
    await ask(opened, 'second');
    opened.socket.context(opened.socket.ids.slice(0, 2), 3_900, 4_096);
    opened.socket.end('second answer');
    await opened.page.getByText('The first 2 messages no longer fit').waitFor();
  }),
  fake('a long question', async (opened) => {
    await exchange(opened, Array(40).fill('a line of a long question').join('\n'), 'answer');
    await opened.page.getByRole('button', { name: 'Show more' }).waitFor();
  }),
  fake('an editor', async (opened) => {
    const { page } = opened;
    await exchange(opened, 'What is the capital of France?', 'Paris.');
    await page.locator('article.user').hover();
    await page.getByRole('button', { name: 'Edit this message' }).click();
    await page.getByRole('textbox', { name: 'Edit this message' }).waitFor();
  }),
  fake('a conversation that is gone', async ({ page }) => {
    await page.evaluate(() => (location.hash = '#/c/deleted'));
    await page.getByText('This conversation is not there any more').waitFor();
  }),
];

const ANSWERS: readonly State[] = [
  fake('a message in the queue', async (opened) => {
    await ask(opened);
    opened.socket.queue(2, 7_500);
    await opened.page.getByText('2 before you, about 8 s').waitFor();
  }),
  fake('a message that is being read', async (opened) => {
    await ask(opened);
    opened.socket.prefill(62, 100);
    await opened.page.getByText('62 %').waitFor();
  }),
  fake('thinking', async (opened) => {
    await ask(opened, 'Is 391 a prime number?');
    opened.socket.think('Try 7: 391 = 7 · 55 + 6. ', 'Try 17: 17 · 23 = **391**.');
    await opened.page.getByText('Thinking…').first().click();
    await opened.page.locator('.thoughts strong').waitFor();
  }),
  fake('an answer that is being written', async (opened) => {
    await ask(opened, 'Write quicksort in Python, and explain it.');
    opened.socket.think('A short one will do.');
    opened.socket.say('Here it is:\n\n```python\ndef quicksort(items):\n    if len(items) < 2:');
    await opened.chat.shows('def quicksort');
    await opened.socket.drawn();
  }),
  fake('an answer above its end', async (opened) => {
    await ask(opened);
    opened.socket.say(Array.from({ length: 100 }, (_, index) => `line ${index}`).join('\n\n'));
    await opened.chat.shows('line 99');
    await opened.page.getByRole('region', { name: 'Conversation' }).focus();
    await opened.page.keyboard.press('PageUp');
    await opened.page.getByRole('button', { name: 'Newest words' }).waitFor();
  }),
  fake('a stopped answer', async (opened) => {
    await ask(opened, 'Tell me a long story.');
    opened.socket.say('Once upon a time');
    await opened.page.keyboard.press('Escape');
    await opened.socket.receives(2);
    opened.socket.endFor('stopped');
    await opened.page.getByText(/^Stopped after/).waitFor();
  }),
  fake('an answer that failed', async (opened) => {
    await exchange(opened, 'Hello', 'Hello.');
    await ask(opened, 'Write a poem about spring.');
    opened.socket.fail('timeout');
    await opened.page.getByRole('alert').waitFor();
  }),
  fake('an answer that was cut', async (opened) => {
    await ask(opened);
    opened.socket.endFor('length', 'Once upon a time');
    await opened.page.getByText('Cut at 2,048 tokens.').waitFor();
  }),
];

const MESSAGES: readonly State[] = [
  fake('a message that waits for an answer', async (opened) => {
    await waitingMessage(opened);
  }),
  fake('a message that is held', async (opened) => {
    await waitingMessage(opened);
    await opened.page.keyboard.press('Escape');
    await opened.socket.receives(2);
    opened.socket.endFor('stopped');
    await opened.page.getByText('the answer before it is not complete').waitFor();
  }),
  fake('a message that was refused', async ({ chat, page, socket }) => {
    socket.refusal = { code: 'invalid_parameter', field: 'temperature', found: '9' };
    await chat.press('question');
    await page.getByRole('alert').waitFor();
  }),
  fake('a message that is too large', async ({ chat, page }) => {
    await chat.field.fill('x'.repeat((1 << 20) + 1));
    await page.getByRole('alert').waitFor();
  }),
  fake('a server that is away', async (opened) => {
    const { chat, page, socket } = opened;
    await exchange(opened, 'Are you there?', 'Yes.');
    await page.route(/\/ready$/, (route) => route.abort());
    await socket.close();
    await page.getByRole('button', { name: 'Try now' }).waitFor();
    await chat.field.fill('And now?');
    await chat.submit();
    await page.getByText('Is sent when the connection is back').waitFor();
  }),
];

const FILES: readonly State[] = [
  state('attached files', async (pages) => {
    const { page, chat } = await pages.openAlone();
    await choose(
      page,
      file('report.py', 'print(1)\n'),
      file('a-rather-long-name-of-notes.txt', '你好'),
    );
    await page
      .getByText(/^\d+ tokens$/)
      .nth(1)
      .waitFor();
    await chat.field.fill('What do these say?');
    return page;
  }),
  state('refused files', async (pages) => {
    const { page } = await pages.openAlone();
    await choose(page, file('program.bin', '\0\x01\x02\0'), file('empty.txt', ''));
    await page.getByRole('alert').nth(1).waitFor();
    return page;
  }),
  fake('files that were sent', async ({ chat, page, socket }) => {
    await choose(page, file('report.py', 'def report():\n    return 1\n'));
    await page.getByRole('button', { name: 'Remove report.py' }).waitFor();
    await chat.press('What does this do?');
    await socket.receives(1);
    socket.end('It returns 1.');
    await chat.answered();
    await page.locator('article.user').getByRole('button', { name: 'report.py' }).click();
    await page.locator('article.user pre').waitFor();
  }),
];

const MENUS: readonly State[] = [
  fake("a message's menu", async (opened) => {
    await exchange(opened);
    const answer = opened.page.locator('article.assistant');
    await answer.hover();
    await answer.getByRole('button', { name: 'More actions' }).click();
    await opened.page.getByRole('menu').waitFor();
  }),
  fake("the page's menu", async (opened) => {
    await exchange(opened);
    await opened.page.getByRole('button', { name: 'Menu', exact: true }).click();
    await opened.page.getByRole('menu').waitFor();
  }),
  listed("a conversation's menu", async ({ chat, page }) => {
    await (await chat.inList(HANGZHOU)).hover();
    await page.getByRole('button', { name: `Actions for “${HANGZHOU}”` }).click();
    await page.getByRole('menu').waitFor();
  }),
  listed("the list's menu", async ({ page }) => {
    await page.getByRole('button', { name: 'All conversations' }).click();
    await page.getByRole('menu').waitFor();
  }),
];

const SHEETS: readonly State[] = [
  fake('the settings', async ({ page }) => {
    await openSettings(page);
    await page.getByText('More parameters').click();
  }),
  fake('a setting that is wrong', async ({ page }) => {
    await openSettings(page);
    await typeNumber(page.getByRole('spinbutton', { name: 'Temperature' }), '5');
    await page.getByText('Please stay between 0 and 2.').waitFor();
  }),
  fake('presets', async ({ page }) => {
    await openSettings(page);
    const name = page.getByRole('textbox', { name: 'Name of a preset' });
    await page
      .getByRole('textbox', { name: 'Instruction for the model' })
      .pressSequentially('Be brief.');
    for (const preset of ['short answers', 'a translator']) {
      await name.fill(preset);
      await page.getByRole('button', { name: 'Keep' }).click();
    }
    await page.getByRole('button', { name: 'a translator', exact: true }).waitFor();
  }),
  state('the demo model’s command', async (pages) => {
    const { page } = await pages.openAlone();
    await page.getByRole('button', { name: 'Choose another' }).click();
    await page.getByRole('dialog', { name: 'Models' }).waitFor();
    return page;
  }),
  state('the models', async (pages) => {
    const { page } = await pages.openAlone();
    await showModels(page);
    return page;
  }),
  state('the keys', async (pages) => {
    const { chat, page } = await pages.openAlone();
    await chat.inMenu('Keyboard shortcuts');
    await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor();
    return page;
  }),
  state('the sign-in page', async (pages) => {
    const page = await pages.visit({}, `${pages.url}/#code=refused`);
    await page.getByRole('alert').filter({ hasText: 'link was used before' }).waitFor();
    return page;
  }),
];

const LISTS: readonly State[] = [
  listed('the list of conversations', async () => {}),
  listed('a title that is changed', async ({ chat, page }) => {
    await chat.inListMenuOf(HANGZHOU, 'Rename');
    await page.getByRole('textbox', { name: 'Title' }).waitFor();
  }),
  listed('a search', async ({ chat, page }) => {
    await page.getByRole('searchbox').fill('days');
    await (await chat.list()).locator('mark').first().waitFor();
  }),
  listed('a search that finds nothing', async ({ page }) => {
    await page.getByRole('searchbox').fill('zebrafish');
    await page.getByText('Nothing found.').waitFor();
  }),
  listed('the archive', async ({ chat, page }) => {
    await chat.inListMenuOf(HANGZHOU, 'Archive');
    await (await chat.inList(HANGZHOU)).waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'All conversations' }).click();
    await page.getByRole('menuitem', { name: 'Show archived ones' }).click();
    await (await chat.inList(HANGZHOU)).waitFor();
  }),
  listed('an empty archive', async ({ page }) => {
    await page.getByRole('button', { name: 'All conversations' }).click();
    await page.getByRole('menuitem', { name: 'Show archived ones' }).click();
    await page.getByText('Nothing is archived.').waitFor();
  }),
  listed('a deletion that can be undone', async ({ chat, page }) => {
    await chat.inListMenuOf(HANGZHOU, 'Delete');
    await page.getByRole('button', { name: 'Undo' }).waitFor();
  }),
];

export const STATES: readonly State[] = [
  ...CONVERSATIONS,
  ...ANSWERS,
  ...MESSAGES,
  ...FILES,
  ...MENUS,
  ...SHEETS,
  ...LISTS,
];

/** Asks, and says something more while the answer is being written. */
async function waitingMessage(opened: OpenedFake): Promise<void> {
  const { chat, page, socket } = opened;
  await ask(opened, 'first');
  socket.say('word ');
  await chat.shows('word');
  await chat.field.fill('And then?');
  await chat.submit();
  await page.getByText('Is sent when the answer has ended').waitFor();
}

async function openSettings(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Settings', exact: true }).click();
  await page.getByRole('dialog', { name: 'Settings' }).waitFor();
}
