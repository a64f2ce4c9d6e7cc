import type { Locator } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import type { ChatPage } from './setup/chat_page';
import { typeNumber } from './setup/fields';
import { Pages } from './setup/pages';
import { framesSent, recordFrames } from './setup/sent_frames';

const pages = new Pages();

async function open(options = {}): Promise<ChatPage> {
  return (await pages.open(options)).chat;
}

async function history(chat: ChatPage): Promise<{ role: string; content: string }[]> {
  return JSON.parse(await chat.ask('history')) as { role: string; content: string }[];
}

describe('sending', () => {
  it('shows the answer, then who was how fast', async () => {
    const chat = await open();
    expect(await chat.ask('good morning')).toBe('You said: good morning');
    await chat.page.getByText(/first word [\d.]+ m?s/).waitFor();
    expect(await chat.field.inputValue()).toBe('');
  });

  it('sends the answers along as history', async () => {
    const chat = await open();
    await chat.ask('my name is Ada');
    expect(await history(chat)).toEqual([
      { role: 'user', content: 'my name is Ada' },
      { role: 'assistant', content: 'You said: my name is Ada' },
      { role: 'user', content: 'history' },
    ]);
  });

  it('shows words while the answer is still being made', async () => {
    const chat = await open();
    await chat.say('tokens 100000 20');
    await chat.shows('word3');
    await chat.stop.waitFor();
    await chat.status.filter({ hasText: 'Writing…' }).waitFor();
    await chat.page.getByText(/^\d+ words$/).waitFor();
    await chat.page.keyboard.press('Escape');
    await chat.answered();
  });

  it('does not send when Enter ends a composition of an input method', async () => {
    const chat = await open();
    const devtools = await chat.page.context().newCDPSession(chat.page);
    await chat.field.focus();
    await devtools.send('Input.imeSetComposition', {
      text: 'ni hao',
      selectionStart: 6,
      selectionEnd: 6,
    });
    await chat.field.press('Enter');
    await devtools.send('Input.insertText', { text: '你好' });
    expect(await chat.questions.count()).toBe(0);
    expect(await chat.field.inputValue()).toContain('你好');
    await chat.field.press('Enter');
    await chat.shows('You said: 你好');
    expect(await chat.questions.count()).toBe(1);
  });

  it('starts a line with Shift + Enter', async () => {
    const chat = await open();
    await chat.field.fill('one');
    await chat.field.press('Shift+Enter');
    await chat.field.pressSequentially('two');
    expect(await chat.field.inputValue()).toBe('one\ntwo');
  });

  it('offers four things to try, and sends the one that is pressed', async () => {
    const chat = await open();
    const offers = chat.page.getByRole('list', { name: 'Things to try' }).getByRole('button');
    expect(await offers.count()).toBe(4);
    await offers.nth(1).click();
    await chat.shows('You said: Write a poem about spring');
  });
});

describe('words that run from right to left', () => {
  it('do so wherever they are written and shown', async () => {
    const chat = await open();
    const { page } = chat;
    const words = 'مرحبا بالعالم';
    const direction = (part: Locator) => part.evaluate((e) => getComputedStyle(e).direction);
    expect(await direction(chat.field)).toBe('ltr');
    await chat.field.fill(words);
    expect(await direction(chat.field)).toBe('rtl');
    await chat.ask(words);
    expect(await direction(chat.questions.first())).toBe('rtl');
    await page.locator('article.user').hover();
    await page.getByRole('button', { name: 'Edit this message' }).click();
    expect(await direction(page.getByRole('textbox', { name: 'Edit this message' }))).toBe('rtl');
    await page.getByRole('button', { name: 'Settings', exact: true }).click();
    const instruction = page.locator('#system-prompt');
    await instruction.fill(words);
    expect(await direction(instruction)).toBe('rtl');
  });
});

describe('stopping', () => {
  it('ends the answer, keeps its words and goes on with the next message', async () => {
    const chat = await open();
    await chat.say('tokens 100000 10');
    await chat.shows('word5');
    await chat.page.keyboard.press('Escape');
    await chat.page.getByText(/Stopped.* \d+ words kept/).waitFor();
    const kept = await chat.lastAnswer();
    expect(kept).toMatch(/^word0 word1 .*word5/);
    expect(await chat.ask('and now')).toBe('You said: and now');
    expect(await chat.answers.first().innerText()).toContain(kept);
  });

  it('never stops by a double press what it has just sent, but by a later press', async () => {
    const chat = await open();
    await chat.field.fill('tokens 100000 10');
    const place = (await chat.send.boundingBox())!;
    await chat.page.mouse.dblclick(place.x + 10, place.y + 10);
    // Sixty words take longer than the guard: had the second press stopped it, they never came.
    await chat.shows('word60');
    await chat.stop.click();
    await chat.page.getByText(/Stopped.* \d+ words kept/).waitFor();
    expect(await chat.questions.count()).toBe(1);
  });

  it('stops before the first word', async () => {
    const chat = await open();
    await chat.say('hang');
    await chat.status.filter({ hasText: 'Reading your message' }).waitFor();
    await chat.page.keyboard.press('Escape');
    await chat.page.getByText('Stopped before the first word').waitFor();
    expect(await history(chat)).toEqual([
      { role: 'user', content: 'hang' },
      { role: 'user', content: 'history' },
    ]);
  });
});

describe('a new conversation', () => {
  it('is empty, knows nothing of the one before, and leaves it in the list', async () => {
    const chat = await open();
    await chat.ask('something old');
    await chat.newConversation();
    expect(await chat.questions.count()).toBe(0);
    expect(await history(chat)).toHaveLength(1);
    await (await chat.inList('something old')).first().click();
    await chat.questions.filter({ hasText: 'something old' }).waitFor();
  });

  it('does not end an answer of another one', async () => {
    const chat = await open();
    await chat.say('tokens 400 5');
    await chat.shows('word9');
    const address = chat.page.url();
    await chat.newConversation();
    expect(await chat.ask('fresh')).toBe('You said: fresh');
    expect(await chat.answers.count()).toBe(1);
    await chat.page.goto(address);
    await chat.shows('word399');
  });
});

describe('a message', () => {
  it('can be answered again', async () => {
    const chat = await open();
    await chat.ask('same');
    await chat.page.getByRole('button', { name: 'Answer again' }).click();
    await chat.answered();
    expect(await chat.questions.allInnerTexts()).toEqual(['same']);
    expect(await chat.lastAnswer()).toBe('You said: same');
  });

  it('can be edited, which makes another version of all that follows', async () => {
    const chat = await open();
    await chat.ask('first');
    await chat.ask('second');
    await chat.page.locator('article.user').first().hover();
    await chat.page.getByRole('button', { name: 'Edit this message' }).first().click();
    const editor = chat.page.getByRole('textbox', { name: 'Edit this message' });
    await editor.fill('third');
    await chat.submitEdit(editor);
    await chat.shows('You said: third');
    expect(await chat.questions.allInnerTexts()).toEqual(['third']);
    await chat.answered();
    await chat.page.getByRole('button', { name: 'Earlier version' }).click();
    expect(await chat.questions.allInnerTexts()).toEqual(['first', 'second']);
  });

  it('can be copied as it was written', async () => {
    const chat = await open({ permissions: ['clipboard-read', 'clipboard-write'] });
    await chat.ask('echo **bold**');
    await chat.page.locator('article.assistant').hover();
    await chat.page
      .locator('article.assistant')
      .getByRole('button', { name: 'Copy this message' })
      .click();
    await chat.page.getByRole('button', { name: 'Copied' }).waitFor();
    expect(await chat.page.evaluate(() => navigator.clipboard.readText())).toBe('**bold**');
  });
});

describe('trouble', () => {
  const cases = [
    { say: 'busy', says: /server is busy \(7 before you, about 9 s\)/, helps: 'Ask again' },
    { say: 'late', says: /took too long and was given up/, helps: 'Ask again' },
    {
      say: 'too-long',
      says: /too long for the model \(5000 tokens, 4096 fit\)/,
      helps: 'Edit the question',
    },
    { say: 'fail', says: /had a problem with this answer/, helps: 'Ask again' },
  ];
  for (const { say, says, helps } of cases) {
    it(`says in plain words what happened and offers what helps: ${say}`, async () => {
      const chat = await open();
      await chat.say(say);
      await chat.page.getByRole('alert').filter({ hasText: says }).waitFor();
      await chat.page.getByRole('button', { name: helps }).waitFor();
      const offers = chat.page.getByRole('button', { name: /^(Ask again|Answer again)$/ });
      expect(await offers.count()).toBe(helps === 'Ask again' ? 1 : 0);
      expect(await chat.ask('still here')).toBe('You said: still here');
    });
  }

  it('that shortening helps against opens the question in its editor', async () => {
    const chat = await open();
    await chat.say('too-long');
    await chat.page.getByRole('button', { name: 'Edit the question' }).click();
    const editor = chat.page.getByRole('textbox', { name: 'Edit this message' });
    expect(await editor.inputValue()).toBe('too-long');
    await editor.fill('short');
    await chat.submitEdit(editor);
    await chat.shows('You said: short');
    expect(await chat.questions.allInnerTexts()).toEqual(['short']);
  });

  it('names the setting that the server did not accept', async () => {
    const chat = await open();
    // The page itself keeps to the ranges: only a stored value of another version can be outside.
    await chat.page.evaluate(() => {
      const settings = { system: '', parameters: { temperature: 9 } };
      const key = `banter.drafts.${localStorage.getItem('banter.user')}.new`;
      localStorage.setItem(key, JSON.stringify({ message: '', edits: {}, settings }));
    });
    await chat.page.reload();
    await chat.connected();
    await chat.say('anything');
    const alert = chat.page.getByRole('alert');
    await alert
      .filter({ hasText: /did not accept a setting \(parameters.temperature = 9/ })
      .waitFor();
  });

  it('refuses a message larger than the server accepts without sending it', async () => {
    const chat = await open();
    await chat.field.fill('x'.repeat((1 << 20) + 1));
    await chat.field.press('Enter');
    await chat.page
      .getByRole('alert')
      .filter({ hasText: 'larger than the server accepts' })
      .waitFor();
    expect(await chat.ask('small')).toBe('You said: small');
  });

  it('says how many of the first messages no longer fit, and where the model starts to read', async () => {
    const chat = await open();
    await chat.ask('one');
    await chat.ask('two');
    await chat.ask('dropped 2 three');
    await chat.page
      .getByText('The first 2 messages no longer fit; the model reads from here')
      .waitFor();
    const order = await chat.page.locator('.cut, .bubble').allInnerTexts();
    expect(order.map((text) => text.slice(0, 11))).toEqual([
      'one',
      'The first 2',
      'two',
      'dropped 2 t',
    ]);
  });
});

describe('settings', () => {
  it('are sent, refused outside of their range, and can be reset', async () => {
    const chat = await open();
    await recordFrames(chat.page);
    await chat.page.getByRole('button', { name: 'Settings', exact: true }).click();
    await typeNumber(chat.page.getByRole('spinbutton', { name: 'Temperature' }), '1.5');
    await typeNumber(chat.page.getByRole('spinbutton', { name: 'Top p' }), '7');
    await chat.page.getByText('Please stay between 0.05 and 1.').waitFor();
    await typeNumber(chat.page.getByRole('spinbutton', { name: 'Longest answer' }), '3');
    await chat.page
      .getByRole('textbox', { name: 'Instruction for the model' })
      .pressSequentially('Be brief.');
    await chat.page.keyboard.press('Escape');
    expect(await chat.ask('tokens 50')).toBe('word0 word1 word2');
    const asked = (await framesSent(chat.page))
      .map(({ text }) => JSON.parse(text) as { type: string })
      .filter(({ type }) => type === 'send');
    expect(asked[0]).toMatchObject({
      text: 'tokens 50',
      system: 'Be brief.',
      parameters: { max_tokens: 3, temperature: 1.5 },
    });
    // They belong to the conversation now.
    expect(await chat.ask('tokens 50')).toBe('word0 word1 word2');
    await chat.page.getByRole('button', { name: 'Settings', exact: true }).click();
    expect(await chat.page.getByRole('spinbutton', { name: 'Temperature' }).inputValue()).toBe(
      '1.5',
    );
    await chat.page.getByRole('button', { name: 'Back to the defaults' }).click();
    await chat.page.keyboard.press('Escape');
    expect(await chat.ask('tokens 5')).toBe('word0 word1 word2 word3 word4');
    await chat.newConversation();
    expect(await history(chat)).toHaveLength(1);
  });

  it('have names, and are used again in another conversation', async () => {
    const chat = await open();
    const settings = chat.page.getByRole('button', { name: 'Settings', exact: true });
    await settings.click();
    await typeNumber(chat.page.getByRole('spinbutton', { name: 'Longest answer' }), '2');
    await chat.page.getByRole('textbox', { name: 'Name of a preset' }).fill('short');
    await chat.page.getByRole('button', { name: 'Keep' }).click();
    await chat.page.keyboard.press('Escape');
    expect(await chat.ask('tokens 50')).toBe('word0 word1');
    await chat.newConversation();
    await settings.click();
    await chat.page.getByRole('button', { name: 'short', exact: true }).click();
    await chat.page.keyboard.press('Escape');
    expect(await chat.ask('tokens 50')).toBe('word0 word1');
  });
});

describe('a reload', () => {
  it('keeps the conversation', async () => {
    const chat = await open();
    await chat.ask('remember this');
    await chat.page.reload();
    await chat.connected();
    expect(await chat.questions.allInnerTexts()).toEqual(['remember this']);
    expect(await chat.lastAnswer()).toBe('You said: remember this');
    expect(await history(chat)).toHaveLength(3);
  });

  it('in the middle of an answer shows it from its first byte on, and follows it', async () => {
    const chat = await open();
    await chat.say('tokens 300 10');
    await chat.shows('word20');
    await chat.page.reload();
    await chat.shows('word20');
    expect(await chat.lastAnswer()).toMatch(/^word0 word1 /);
    await chat.shows('word299');
    await chat.answered();
    expect((await chat.lastAnswer()).split(' ')).toHaveLength(300);
  });

  it('keeps language and theme', async () => {
    const chat = await open();
    await chat.inMenu('中文');
    await chat.inMenu('主题：深色');
    await chat.page.reload();
    await chat.page.getByRole('button', { name: '发送', exact: true }).waitFor();
    const root = chat.page.locator('html');
    expect([await root.getAttribute('lang'), await root.getAttribute('data-theme')]).toEqual([
      'zh-CN',
      'dark',
    ]);
  });
});

describe('the demo model', () => {
  it('is named for what it is until the line is dismissed, with the command for a real one', async () => {
    const chat = await open();
    const notice = chat.page.getByRole('complementary', { name: 'demo model' });
    await notice.filter({ hasText: 'knows very little' }).waitFor();
    await chat.ask('hello');
    await notice.getByRole('button', { name: 'Choose another' }).click();
    const sheet = chat.page.getByRole('dialog', { name: 'Models' });
    expect(await sheet.locator('code').innerText()).toContain('--model');
    await sheet.getByRole('button', { name: 'Close' }).click();
    await notice.getByRole('button', { name: 'Dismiss' }).click();
    await chat.page.reload();
    await chat.connected();
    expect(await notice.count()).toBe(0);
    await chat.page.locator('header').getByText('demo model').waitFor();
  });
});
