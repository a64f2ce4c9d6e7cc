import { describe, expect, it } from 'vitest';
import { ChatPage } from './setup/chat_page';
import type { FakeSocket } from './setup/fake_socket';
import { ask, exchange, Pages } from './setup/pages';
import { startServer } from './setup/server';

declare global {
  interface Window {
    /** Windows that have said that they still write. */
    replies: number;
    nameAtLoad: string | null;
  }
}

const pages = new Pages();

async function open(): Promise<ChatPage> {
  return (await pages.open()).chat;
}

async function another(chat: ChatPage): Promise<ChatPage> {
  const page = await chat.page.context().newPage();
  await page.goto(pages.url);
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
  it('an earlier question keeps what came after, for Undo, also after a reload', async () => {
    const chat = await open();
    for (const text of ['one', 'two', 'three']) await chat.ask(text);
    await answerAgain(chat, 0);
    await chat.answered();
    expect(await chat.questions.allInnerTexts()).toEqual(['one']);
    await reload(chat);
    await button(chat, 'Undo').click();
    expect(await chat.questions.allInnerTexts()).toEqual(['one', 'two', 'three']);
    await reload(chat);
    expect(await chat.questions.allInnerTexts()).toEqual(['one', 'two', 'three']);
    await button(chat, 'Redo').click();
    expect(await chat.questions.allInnerTexts()).toEqual(['one']);
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
    await chat.status.filter({ hasText: 'the earlier answer is kept' }).waitFor();
    expect(await chat.lastAnswer()).toBe('answer to question');
    await reload(chat);
    expect(await chat.lastAnswer()).toBe('answer to question');
    expect(await chat.questions.count()).toBe(1);
  });

  const failures: { what: string; happens: (socket: FakeSocket) => unknown; says: RegExp }[] = [
    { what: 'a fault', happens: (socket) => socket.fail('busy'), says: /server is busy/ },
    {
      what: 'a fault after some words',
      happens: (socket) => {
        socket.say('half');
        socket.fail('internal');
      },
      says: /had a problem/,
    },
    {
      what: 'the end of the connection',
      happens: (socket) => socket.close(),
      says: /ended before the first word/,
    },
  ];
  for (const { what, happens, says } of failures) {
    it(`and ${what} leaves the answers that were there, and says why`, async () => {
      const opened = await pages.openFake();
      const { chat, socket } = opened;
      await exchange(opened, 'question', 'answer to question');
      await exchange(opened, 'another', 'answer to another');
      await answerAgain(chat, 0);
      await socket.receives(3);
      await happens(socket);
      await chat.page.getByRole('alert').filter({ hasText: says }).waitFor();
      await chat.page.getByText('The earlier answer is kept.').waitFor();
      const answers = ['answer to question', 'answer to another'];
      expect(await chat.answers.allInnerTexts()).toEqual(answers);
    });
  }

  it('broken off by a reload before the first word leaves the answer that was there', async () => {
    const opened = await pages.openFake();
    const { chat, socket } = opened;
    await exchange(opened, 'question', 'answer to question');
    await answerAgain(chat, 0);
    await socket.receives(2);
    await reload(chat);
    expect(await chat.answers.allInnerTexts()).toEqual(['answer to question']);
  });
});

describe('an edit', () => {
  it('keeps what it replaces', async () => {
    const chat = await open();
    for (const text of ['one', 'two']) await chat.ask(text);
    await chat.page.locator('article.user').first().hover();
    await chat.page.getByRole('button', { name: 'Edit this message' }).first().click();
    const editor = chat.page.getByRole('textbox', { name: 'Edit this message' });
    await editor.fill('other');
    await editor.press('Enter');
    await chat.shows('You said: other');
    await chat.answered();
    await button(chat, 'Undo').click();
    expect(await chat.questions.allInnerTexts()).toEqual(['one', 'two']);
  });
});

describe('Clear', () => {
  it('can be undone after a new question and after a reload', async () => {
    const chat = await open();
    await chat.ask('old');
    await button(chat, 'Clear the conversation').click();
    await chat.ask('new');
    await reload(chat);
    expect(await chat.questions.allInnerTexts()).toEqual(['new']);
    await button(chat, 'Undo').click();
    expect(await chat.questions.allInnerTexts()).toEqual(['old', 'new']);
  });

  it('can be undone, although the conversation is too long to be kept', async () => {
    const chat = await open();
    await chat.page.addInitScript(() => {
      const ROOM = 4_000;
      const put = Storage.prototype.setItem;
      Storage.prototype.setItem = function (key, text) {
        const others = Object.entries({ ...this }).filter(([other]) => other !== key);
        const used = others.reduce((sum, [, value]) => sum + String(value).length, text.length);
        if (used > ROOM) throw new DOMException('no room', 'QuotaExceededError');
        put.call(this, key, text);
      };
    });
    await reload(chat);
    for (const letter of ['a', 'b', 'c']) await chat.ask(letter.repeat(900));
    await chat.page.getByText('too long to be kept').waitFor();
    await button(chat, 'Clear the conversation').click();
    await button(chat, 'Undo').click();
    expect(await chat.questions.count()).toBe(3);
    await button(chat, 'Redo').click();
    expect(await chat.questions.count()).toBe(0);
  });

  it('of an answer that is being written can be undone, too', async () => {
    const chat = await open();
    await chat.say('tokens 100000 5');
    await chat.shows('word9');
    await button(chat, 'Clear the conversation').click();
    await button(chat, 'Undo').click();
    await chat.shows('word9');
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
    expect(await chat.field.inputValue()).toBe('half a\nthought');
    expect(await editor.inputValue()).toBe('another half');
    await editor.press('Escape');
    await chat.field.press('Enter');
    await chat.shows('You said: half a');
    await chat.answered();
    await reload(chat);
    expect(await chat.field.inputValue()).toBe('');
    expect(await editor.count()).toBe(0);
  });

  it('of two windows are two', async () => {
    const chat = await open();
    await chat.field.fill('mine');
    const other = await another(chat);
    await other.field.fill('theirs');
    await reload(other);
    await reload(chat);
    const drafts = [await chat.field.inputValue(), await other.field.inputValue()];
    expect(drafts).toEqual(['mine', 'theirs']);
  });
});

describe('a window without frames', () => {
  it('draws and keeps every word', async () => {
    const opened = await pages.openFake();
    const { chat, socket } = opened;
    await chat.page.evaluate(() => {
      window.requestAnimationFrame = () => 0;
    });
    await chat.say('question');
    await socket.receives(1);
    socket.say(...Array.from({ length: 500 }, (_, index) => `word${index} `));
    await chat.shows('word499');
    await reload(chat);
    expect(await chat.lastAnswer()).toContain('word499');
  });

  it('keeps what has come when it is hidden', async () => {
    const opened = await pages.openFake();
    const { chat, socket } = opened;
    await chat.page.evaluate(() => {
      window.requestAnimationFrame = () => 0;
      Object.defineProperty(document, 'visibilityState', { get: () => 'hidden' });
    });
    await chat.say('question');
    await socket.receives(1);
    socket.say('all of it');
    const kept = () =>
      chat.page.evaluate(() => {
        document.dispatchEvent(new Event('visibilitychange'));
        return JSON.stringify({ ...localStorage });
      });
    await expect.poll(kept).toContain('all of it');
  });
});

describe('two windows', () => {
  it('lose nothing that was asked in either', async () => {
    const one = await open();
    await one.ask('first');
    const two = await another(one);
    await two.ask('in the second');
    await one.ask('in the first');
    const all = ['first', 'in the second', 'in the first'];
    for (const chat of [one, two]) {
      await expect.poll(() => chat.questions.allInnerTexts()).toEqual(all);
      await reload(chat);
      expect(await chat.questions.allInnerTexts()).toEqual(all);
    }
  });

  it('lose nothing when both are answered at the same time', async () => {
    const one = await open();
    const two = await another(one);
    const ask = async (chat: ChatPage, text: string) => {
      await chat.field.fill(text);
      await chat.field.press('Enter');
      await chat.questions.filter({ hasText: text }).waitFor();
    };
    await Promise.all([ask(one, 'tokens 200 5'), ask(two, 'tokens 201 5')]);
    for (const chat of [one, two])
      for (const last of ['word199', 'word200'])
        await chat.answers.filter({ hasText: new RegExp(`${last}\\s*$`) }).waitFor();
    for (const chat of [one, two]) {
      await chat.answered();
      await reload(chat);
      const questions = await chat.questions.allInnerTexts();
      expect(questions.sort()).toEqual(['tokens 200 5', 'tokens 201 5']);
    }
  });

  it('are both cleared, and either can undo it', async () => {
    const one = await open();
    await one.ask('first');
    const two = await another(one);
    await button(one, 'Clear the conversation').click();
    await expect.poll(() => two.questions.count()).toBe(0);
    await button(two, 'Undo').click();
    await one.questions.filter({ hasText: 'first' }).waitFor();
  });

  it('know of each other which one writes', async () => {
    const one = await open();
    await one.say('tokens 100000 10');
    await one.shows('word5');
    const two = await another(one);
    await two.page.getByText('Another window of this browser is writing this answer.').waitFor();
    const before = (await two.lastAnswer()).length;
    await expect.poll(async () => (await two.lastAnswer()).length).toBeGreaterThan(before);
    await button(one, 'Stop').click();
    await one.status.filter({ hasText: /Stopped after \d+ words/ }).waitFor();
    const whole = await one.lastAnswer();
    await expect.poll(() => two.lastAnswer()).toBe(whole);
  });
});

describe('an answer that another window writes', () => {
  /** More than the time after which a silent window is asked, and than the time for its reply. */
  const SILENT_MS = 6_000;
  const REPLY_MS = 3_000;
  const NOTICE = 'Another window of this browser is writing this answer.';

  /** A second window whose clock the test puts forward. */
  async function watching(chat: ChatPage): Promise<ChatPage> {
    const page = await chat.page.context().newPage();
    await page.clock.install();
    await page.addInitScript(() => {
      window.replies = 0;
      new BroadcastChannel('banter.windows').onmessage = ({ data }) => {
        if ('writing' in (data as object)) window.replies += 1;
      };
    });
    await page.goto(pages.url);
    const other = new ChatPage(page);
    await other.connected();
    await page.getByText(NOTICE).waitFor();
    return other;
  }

  it('before the first word is not interrupted, as long as that window is there', async () => {
    const opened = await pages.openFake();
    await ask(opened);
    const { page } = await watching(opened.chat);
    for (const count of [1, 2, 3]) {
      await page.clock.fastForward(SILENT_MS);
      await expect.poll(() => page.evaluate(() => window.replies)).toBe(count);
      await page.clock.fastForward(REPLY_MS);
      expect(await page.getByText(NOTICE).isVisible()).toBe(true);
    }
    opened.socket.end('at last');
    await page.getByText('at last').waitFor();
    await page.getByText(NOTICE).waitFor({ state: 'detached' });
  });

  it('is interrupted if nobody says that it still writes', async () => {
    const chat = await open();
    await chat.ask('question');
    await chat.page.evaluate(() => {
      const key = Object.keys(localStorage).find((key) => key.startsWith('banter.turn.'))!;
      const turn = JSON.parse(localStorage.getItem(key)!) as { answer: object };
      const answer = { ...turn.answer, outcome: { kind: 'writing' } };
      localStorage.setItem(key, JSON.stringify({ ...turn, answer, window: 'gone' }));
    });
    const { page } = await watching(chat);
    await page.clock.fastForward(SILENT_MS);
    await page.clock.fastForward(REPLY_MS);
    await page.getByText('The connection ended here.').waitFor();
  });
});

describe('the name of a window', () => {
  const nameAtLoad = (chat: ChatPage) => chat.page.evaluate(() => window.nameAtLoad);

  it('is not that of a duplicate, which has a copy of all that the window stores', async () => {
    const opened = await pages.openFake();
    await ask(opened);
    opened.socket.say('first words');
    await opened.chat.shows('first words');
    const copy = await opened.page.evaluate(() => Object.entries({ ...sessionStorage }));
    const page = await opened.page.context().newPage();
    await page.addInitScript((copy) => {
      for (const [key, text] of copy) sessionStorage.setItem(key, String(text));
    }, copy);
    await page.goto(pages.url);
    await page.getByText('Another window of this browser is writing this answer.').waitFor();
  });

  it('stays the same over reloads', async () => {
    const chat = await open();
    await chat.page.addInitScript(() => {
      window.nameAtLoad = sessionStorage.getItem('banter.window');
    });
    await reload(chat);
    const name = await nameAtLoad(chat);
    expect(name).toMatch(/^\d+$/);
    await reload(chat);
    expect(await nameAtLoad(chat)).toBe(name);
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
      await page.reload();
      await page.getByLabel('Key', { exact: true }).fill(key);
      await page.getByRole('button', { name: 'Enter' }).click();
      await chat.connected();
    };
    await signIn('key-of-ada');
    await chat.ask('what Ada asks');
    await chat.field.fill('what Ada writes');
    await signIn('key-of-bob');
    expect([await chat.questions.count(), await chat.field.inputValue()]).toEqual([0, '']);
    expect(JSON.parse(await chat.ask('history'))).toHaveLength(1);
    await signIn('key-of-ada');
    expect(await chat.questions.allInnerTexts()).toEqual(['what Ada asks']);
    expect(await chat.field.inputValue()).toBe('what Ada writes');
    await page.getByRole('button', { name: 'Settings', exact: true }).click();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('Key', { exact: true }).waitFor();
    expect(await page.context().cookies()).toEqual([]);
    await locked.stop();
  });
});

describe('the line where the model begins to read', () => {
  it('is also there where nobody counts tokens, and after a reload', async () => {
    const page = await pages.visit();
    const asked: string[] = [];
    page.on('request', (request) => asked.push(new URL(request.url()).pathname));
    await page.route('**/api/info', async (route) => {
      const response = await route.fetch();
      const info = (await response.json()) as Record<string, unknown>;
      const less = { ...info, counts_tokens: false, limits: { message_bytes: 1_000 } };
      await route.fulfill({ response, json: less });
    });
    await page.reload();
    const chat = new ChatPage(page);
    await chat.connected();
    await chat.ask(`echo ${'a'.repeat(300)}`);
    await chat.ask(`echo ${'b'.repeat(300)}`);
    const line = page.getByText('The first 2 messages no longer fit; the model reads from here');
    await line.waitFor();
    await chat.answered();
    await reload(chat);
    expect(await line.isVisible()).toBe(true);
    expect(asked).not.toContain('/tokenize');
  });
});

describe('figures', () => {
  it('are still there after a reload', async () => {
    const chat = await open();
    await chat.ask('good morning');
    const figures = chat.page.getByText(/first word \d+\.\d\d s/);
    const before = await figures.innerText();
    await reload(chat);
    expect(await figures.innerText()).toBe(before);
  });
});
