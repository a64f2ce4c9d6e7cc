import { describe, expect, it } from 'vitest';
import { PHONE } from './setup/browser';
import { ChatPage } from './setup/chat_page';
import { ask, exchange, Pages } from './setup/pages';
import { startServer } from './setup/server';

const pages = new Pages();

async function open(): Promise<ChatPage> {
  return (await pages.open()).chat;
}

/** Another tab of the same browser, at the address of the first. */
async function another(chat: ChatPage): Promise<ChatPage> {
  const page = await chat.page.context().newPage();
  await page.goto(chat.page.url());
  const other = new ChatPage(page);
  await other.connected();
  return other;
}

async function reload(chat: ChatPage): Promise<void> {
  await chat.page.reload();
  await chat.connected();
}

function button(chat: ChatPage, name: string) {
  return chat.page.getByRole('button', { name, exact: true });
}

async function answerAgain(chat: ChatPage, index: number): Promise<void> {
  const article = chat.page.locator('article.assistant').nth(index);
  await article.hover();
  await article.getByRole('button', { name: 'Answer again' }).click();
}

describe('answering again', () => {
  it('keeps what came after as another version, also after a reload', async () => {
    const chat = await open();
    for (const text of ['one', 'two', 'three']) await chat.ask(text);
    await answerAgain(chat, 0);
    await chat.answered();
    expect(await chat.questions.allInnerTexts()).toEqual(['one']);
    await chat.page.getByText('2/2').waitFor();
    await reload(chat);
    await button(chat, 'Earlier version').click();
    expect(await chat.questions.allInnerTexts()).toEqual(['one', 'two', 'three']);
    await chat.page.getByText('1/2').waitFor();
    await reload(chat);
    await chat.page.getByText('1/2').waitFor();
    expect(await chat.questions.allInnerTexts()).toEqual(['one', 'two', 'three']);
    await button(chat, 'Later version').click();
    expect(await chat.questions.allInnerTexts()).toEqual(['one']);
  });

  it('lets the keyboard go from version to version', async () => {
    const opened = await pages.openFake();
    const { chat, socket, page } = opened;
    await exchange(opened, 'question', 'one');
    for (const [at, text] of ['two', 'three'].entries()) {
      await answerAgain(chat, 0);
      await socket.receives(at + 2);
      socket.end(text);
      await chat.shows(text);
      await chat.answered();
    }
    await chat.field.fill('a draft');
    await button(chat, 'Earlier version').focus();
    await page.keyboard.press('Enter');
    await chat.shows('two');
    await page.keyboard.press('Enter');
    await chat.shows('one');
    expect(await chat.field.inputValue()).toBe('a draft');
    expect(socket.sent).toHaveLength(3);
  });

  it('and stopping before the first word leaves the answer that was there', async () => {
    const opened = await pages.openFake();
    const { chat, socket } = opened;
    await exchange(opened, 'question', 'answer to question');
    await answerAgain(chat, 0);
    await socket.receives(2);
    await chat.page.keyboard.press('Escape');
    await socket.receives(3);
    socket.endFor('stopped');
    await chat.page.getByText('Stopped before the first word').waitFor();
    await button(chat, 'Earlier version').click();
    expect(await chat.lastAnswer()).toBe('answer to question');
  });

  it('and a refusal leaves the answer that was there, and says why', async () => {
    const opened = await pages.openFake();
    const { chat, socket } = opened;
    await exchange(opened, 'question', 'answer to question');
    socket.refusal = { code: 'busy' };
    await answerAgain(chat, 0);
    await chat.page
      .getByRole('alert')
      .filter({ hasText: /server is busy/ })
      .waitFor();
    expect(await chat.lastAnswer()).toBe('answer to question');
    await button(chat, 'Ask again').click();
    await socket.receives(3);
    socket.end('another answer');
    await chat.shows('another answer');
  });

  it('whose socket is lost in the middle is still there', async () => {
    const opened = await pages.openFake();
    const { chat, socket } = opened;
    await exchange(opened, 'question', 'answer to question');
    await answerAgain(chat, 0);
    await socket.receives(2);
    socket.say('half');
    await chat.shows('half');
    await socket.close();
    const timesOpened = () => socket.events.filter(({ type }) => type === 'open').length;
    await expect.poll(timesOpened).toBe(1);
    socket.end(' and half');
    await chat.shows('half and half');
  });
});

describe('a message that cannot be sent now', () => {
  it('waits for the answer before it', async () => {
    const opened = await pages.openFake();
    const { chat, socket, page } = opened;
    await ask(opened, 'first');
    socket.say('word ');
    await chat.field.fill('second');
    await chat.submit();
    await page.getByText('Is sent when the answer has ended').waitFor();
    expect(await chat.field.inputValue()).toBe('');
    expect(socket.sent).toHaveLength(1);
    socket.end('word');
    expect((await socket.receives(2)).text).toBe('second');
    socket.end('second answer');
    await chat.shows('second answer');
    expect(await chat.questions.allInnerTexts()).toEqual(['first', 'second']);
  });

  it('waits for a decision after a stop', async () => {
    const opened = await pages.openFake();
    const { chat, socket, page } = opened;
    await ask(opened, 'first');
    socket.say('word ');
    await chat.field.fill('second');
    await chat.submit();
    await page.keyboard.press('Escape');
    await socket.receives(2);
    socket.endFor('stopped');
    await page.getByText('the answer before it is not complete').waitFor();
    await button(chat, 'Send now').click();
    expect((await socket.receives(3)).text).toBe('second');
    socket.end('second answer');
    await chat.answered();
  });

  it('is sent when the connection is back, also after a reload', async () => {
    const server = await startServer();
    const page = await pages.visit({}, server.url);
    const chat = new ChatPage(page);
    await chat.connected();
    await server.stop();
    await button(chat, 'Try now').waitFor();
    await chat.field.fill('written offline');
    await chat.submit();
    await page.getByText('Is sent when the connection is back').waitFor();
    const kept = () => page.evaluate(() => JSON.stringify({ ...localStorage }));
    expect(await kept()).toContain('written offline');
    const back = await startServer([], server.port);
    await page.reload();
    await chat.shows('You said: written offline');
    expect(await kept()).not.toContain('written offline');
    expect(await chat.questions.allInnerTexts()).toEqual(['written offline']);
    await back.stop();
  });

  it('can be edited or discarded', async () => {
    const opened = await pages.openFake();
    const { chat, socket, page } = opened;
    await ask(opened, 'first');
    for (const text of ['second', 'third']) {
      await chat.field.fill(text);
      await chat.submit();
    }
    const articles = page.locator('article.pending');
    expect(await articles.count()).toBe(2);
    await button(chat, 'Discard').last().click();
    await button(chat, 'Edit the question').click();
    await expect.poll(() => chat.field.inputValue()).toBe('second');
    expect(await articles.count()).toBe(0);
    socket.end('answer');
    await chat.answered();
    expect(socket.sent).toHaveLength(1);
  });
});

describe('drafts', () => {
  it('survive a reload: of a message, and of an earlier one that is being edited', async () => {
    const chat = await open();
    await chat.ask('first');
    await chat.field.fill('half a\nthought');
    await chat.page.locator('article.user').hover();
    await button(chat, 'Edit this message').click();
    const editor = chat.page.getByRole('textbox', { name: 'Edit this message' });
    await editor.fill('another half');
    await reload(chat);
    await editor.waitFor();
    expect(await chat.field.inputValue()).toBe('half a\nthought');
    expect(await editor.inputValue()).toBe('another half');
    await editor.press('Escape');
    await chat.submit();
    await chat.shows('You said: half a');
    await chat.answered();
    await reload(chat);
    expect(await chat.field.inputValue()).toBe('');
    expect(await editor.count()).toBe(0);
  });

  it('belong to their conversation', async () => {
    const chat = await open();
    await chat.ask('the first conversation');
    const address = chat.page.url();
    await chat.field.fill('about the first');
    await chat.newConversation();
    expect(await chat.field.inputValue()).toBe('');
    await chat.field.fill('something new');
    await chat.page.goBack();
    await expect.poll(() => chat.field.inputValue()).toBe('about the first');
    await chat.page.goto(`${pages.url}/#/`);
    await expect.poll(() => chat.field.inputValue()).toBe('something new');
    await chat.page.goto(address);
    await expect.poll(() => chat.field.inputValue()).toBe('about the first');
  });

  it('can begin in the address, and are never sent by it', async () => {
    const page = await pages.visit({}, `${pages.url}/?q=${encodeURIComponent('为什么天是蓝的？')}`);
    const chat = new ChatPage(page);
    await chat.connected();
    expect(await chat.field.inputValue()).toBe('为什么天是蓝的？');
    expect(await chat.questions.count()).toBe(0);
    expect(page.url()).not.toContain('q=');
  });
});

describe('a window without frames', () => {
  it('draws every word', async () => {
    const opened = await pages.openFake();
    const { chat, socket } = opened;
    await chat.page.evaluate(() => {
      window.requestAnimationFrame = () => 0;
    });
    await chat.say('question');
    await socket.receives(1);
    socket.say(...Array.from({ length: 500 }, (_, index) => `word${index} `));
    await chat.shows('word499');
  });
});

describe('two tabs', () => {
  it('show the same conversation, and the answer while it is written', async () => {
    const one = await open();
    await one.ask('first');
    const two = await another(one);
    await two.shows('You said: first');
    await one.say('tokens 100 10');
    await two.shows('word50');
    await one.shows('word99');
    await two.shows('word99');
    await two.ask('third');
    await one.shows('You said: third');
    const asked = ['first', 'tokens 100 10', 'third'];
    expect(await one.questions.allInnerTexts()).toEqual(asked);
    expect(await two.questions.allInnerTexts()).toEqual(asked);
  });

  it('show the same version and the same title, and lose the same messages', async () => {
    const one = await open();
    await one.ask('two tabs, one title');
    const two = await another(one);
    await answerAgain(one, 0);
    await one.answered();
    await two.page.getByText('2/2').waitFor();
    await button(two, 'Earlier version').click();
    await one.page.getByText('1/2').waitFor();
    await one.inListMenuOf('two tabs, one title', 'Rename');
    await one.page.getByRole('textbox', { name: 'Title' }).fill('A better title');
    await one.page.keyboard.press('Enter');
    await (await two.inList('A better title')).waitFor();
    await one.ask('to be deleted');
    await two.shows('You said: to be deleted');
    await one.deletePairOf(one.page.locator('article.assistant').last());
    await expect.poll(() => two.questions.count()).toBe(1);
  });

  it('have no part in each other’s conversations', async () => {
    const one = await open();
    const two = await another(one);
    await one.say('tokens 50 10');
    expect(await two.ask('mine')).toBe('You said: mine');
    await one.shows('word49');
    expect(await two.questions.allInnerTexts()).toEqual(['mine']);
  });
});

describe('the list of conversations', () => {
  it('finds words in messages, and leads to the message on its branch', async () => {
    const chat = await open();
    await chat.ask('the word zebrafish is here');
    await chat.ask('something else');
    await answerAgain(chat, 0);
    await chat.answered();
    await chat.newConversation();
    const { page } = chat;
    const list = await chat.list();
    await page.getByRole('searchbox', { name: 'Search' }).fill('something else');
    const hit = list.locator('mark').first();
    await hit.waitFor();
    await hit.click();
    await chat.questions.filter({ hasText: 'something else' }).waitFor();
    await chat.list();
    await page.getByRole('searchbox', { name: 'Search' }).fill('no such word anywhere');
    await page.getByText('Nothing found.').waitFor();
    await page.getByRole('searchbox', { name: 'Search' }).press('Escape');
    await (await chat.inList('the word zebrafish')).first().waitFor();
  });

  it('pins, archives and deletes with undo', async () => {
    const chat = await open();
    const { page } = chat;
    await chat.ask('one to pin');
    await chat.newConversation();
    await chat.ask('one to archive');
    await chat.newConversation();
    await chat.ask('one to delete');
    await chat.inListMenuOf('one to pin', 'Pin');
    await page.getByRole('heading', { name: 'Pinned' }).waitFor();
    expect(await page.locator('nav li').first().innerText()).toContain('one to pin');
    await chat.inListMenuOf('one to archive', 'Archive');
    await (await chat.inList('one to archive')).waitFor({ state: 'detached' });
    await chat.inListMenuOf('one to delete', 'Delete');
    await (await chat.inList('one to delete')).waitFor({ state: 'detached' });
    await button(chat, 'Undo').click();
    await (await chat.inList('one to delete')).waitFor();
    await chat.questions.filter({ hasText: 'one to delete' }).waitFor();
    await chat.inListMenuOf('one to delete', 'Delete');
    // What could still be undone is deleted when the page is left.
    await reload(chat);
    await (await chat.inList('one to pin')).waitFor();
    await expect.poll(async () => (await chat.inList('one to delete')).count()).toBe(0);
    await page.getByRole('button', { name: 'All conversations' }).click();
    await page.getByRole('menuitem', { name: 'Show archived ones' }).click();
    await chat.inListMenuOf('one to archive', 'Take out of the archive');
    await page.getByRole('button', { name: 'Back to the others' }).click();
    await (await chat.inList('one to archive')).waitFor();
    await chat.inListMenuOf('one to pin', 'Unpin');
    await page.getByRole('heading', { name: 'Pinned' }).waitFor({ state: 'detached' });
  });

  it('is a drawer on a phone', async () => {
    const { chat, page } = await pages.open(PHONE);
    await chat.press('asked on a phone');
    await chat.shows('You said: asked on a phone');
    await chat.newConversation();
    await page.getByRole('button', { name: 'Show the conversations' }).tap();
    // In the search field the focus would raise the keyboard.
    const drawer = page.getByRole('dialog', { name: 'Conversations' });
    expect(await drawer.evaluate((e) => e === document.activeElement)).toBe(true);
    await (await chat.inList('asked on a phone')).tap();
    await chat.shows('You said: asked on a phone');
    await drawer.waitFor({ state: 'hidden' });
  });

  it('exports and imports', async () => {
    const chat = await open();
    const { page } = chat;
    await chat.ask('to be exported');
    await page.getByRole('button', { name: 'Menu', exact: true }).click();
    const download = page.waitForEvent('download');
    await page.getByRole('menuitem', { name: /JSON/ }).click();
    const path = await (await download).path();
    await chat.list();
    await page.getByRole('button', { name: 'All conversations' }).click();
    const chooser = page.waitForEvent('filechooser');
    await page.getByRole('menuitem', { name: 'Import a file' }).click();
    await (
      await chooser
    ).setFiles({
      name: 'export.json',
      mimeType: 'application/json',
      buffer: await import('node:fs').then(({ readFileSync }) => readFileSync(path)),
    });
    await page.getByText('Imported: 1 conversation with 2 messages.').waitFor();
    await expect.poll(async () => (await chat.inList('to be exported')).count()).toBe(2);
  });
});

describe('who signed in', () => {
  it('finds what they asked, and nothing that another person asked', async () => {
    const locked = await startServer(['--key', 'key-of-ada', '--key', 'key-of-bob']);
    // What a proxy on this machine adds: only so is a key asked for here.
    const extraHTTPHeaders = { 'X-Forwarded-For': '203.0.113.5' };
    const page = await pages.visit({ extraHTTPHeaders }, locked.url);
    const chat = new ChatPage(page);
    const signIn = async (key: string) => {
      await page.context().clearCookies();
      await page.goto(`${locked.url}/`);
      await page.reload();
      await page.getByLabel('Key', { exact: true }).fill(key);
      await page.getByRole('button', { name: 'Enter' }).click();
      await chat.connected();
    };
    await signIn('key-of-ada');
    await chat.ask('what Ada asks');
    await chat.newConversation();
    await chat.field.fill('what Ada writes');
    await signIn('key-of-bob');
    await (await chat.list()).getByText('Conversations appear here.').waitFor();
    expect([await chat.questions.count(), await chat.field.inputValue()]).toEqual([0, '']);
    expect(JSON.parse(await chat.ask('history'))).toHaveLength(1);
    await signIn('key-of-ada');
    expect(await chat.field.inputValue()).toBe('what Ada writes');
    await (await chat.inList('what Ada asks')).click();
    await chat.shows('You said: what Ada asks');
    await page.getByRole('button', { name: 'Settings', exact: true }).click();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('Key', { exact: true }).waitFor();
    expect(await page.context().cookies()).toEqual([]);
    const kept = await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }));
    expect(kept).not.toContain('Ada');
    await locked.stop();
  });
});

describe('figures', () => {
  it('are still there after a reload', async () => {
    const chat = await open();
    await chat.ask('good morning');
    const figures = chat.page.getByText(/first word [\d.]+ m?s/);
    const before = await figures.innerText();
    await reload(chat);
    expect(await figures.innerText()).toBe(before);
  });
});
