/** What happens around a message before it is sent, and while its answer is awaited. */

import { describe, expect, it } from 'vitest';
import { choose, file } from './setup/files';
import { ask, exchange, Pages } from './setup/pages';

const pages = new Pages();

describe('the status line', () => {
  it('tells the place in the queue, then how much of the prompt is computed', async () => {
    const opened = await pages.openFake();
    const { chat, page, socket } = opened;
    await ask(opened);
    await chat.status.filter({ hasText: 'Reading your message…' }).waitFor();
    socket.queue(2, 7_500);
    await chat.status.filter({ hasText: 'Waiting…' }).waitFor();
    await page.getByText('2 before you, about 8 s').waitFor();
    socket.prefill(62, 100);
    await chat.status.filter({ hasText: 'Reading your message…' }).waitFor();
    await page.getByText('62 %').waitFor();
    socket.think('Let me see.');
    await chat.status.filter({ hasText: 'Thinking…' }).waitFor();
    socket.say('word ');
    await chat.status.filter({ hasText: 'Writing…' }).waitFor();
    socket.end('word');
    await chat.status.filter({ hasText: 'Connected' }).waitFor();
    await page.getByText('first word 120 ms').waitFor();
    await page.getByText('4 tokens reused').waitFor();
  });
});

describe('a stop', () => {
  it('leaves a receipt', async () => {
    const opened = await pages.openFake();
    const { page, socket } = opened;
    await ask(opened);
    socket.say('one two three');
    await page.keyboard.press('Escape');
    await socket.receives(2);
    socket.endFor('stopped');
    await page.getByText('Stopped after 0.4 ms, 3 words kept.').waitFor();
  });

  it('before the server has taken the request stops its answer at once', async () => {
    const opened = await pages.openFake();
    const { chat, page, socket } = opened;
    await page.evaluate(() => {
      // Frames of the server wait for a moment.
      const dispatch = EventTarget.prototype.dispatchEvent;
      EventTarget.prototype.dispatchEvent = function (event) {
        if (event.type !== 'message') return dispatch.call(this, event);
        setTimeout(() => dispatch.call(this, event), 300);
        return true;
      };
    });
    await chat.field.fill('question');
    await chat.submit();
    await page.keyboard.press('Escape');
    expect((await socket.receives(2)).type).toBe('stop');
    socket.endFor('stopped');
    await page.getByText('Stopped before the first word').waitFor();
  });
});

describe('honest history', () => {
  it('greys what the model does not read, and says where it begins', async () => {
    const opened = await pages.openFake();
    const { page, socket } = opened;
    await exchange(opened, 'first', 'first answer');
    await ask(opened, 'second');
    socket.context(socket.ids.slice(0, 2), 900, 1_000);
    socket.end('second answer');
    await page.getByText('The first 2 messages no longer fit; the model reads from here').waitFor();
    expect(await page.locator('article.left-out').count()).toBe(2);
    await page.locator('.gauge', { hasText: '900 of 1.0 k tokens' }).waitFor();
  });

  it('counts what is being typed, and is still there after a reload', async () => {
    const { chat, page } = await pages.open();
    await chat.ask('one');
    await chat.ask('two');
    const gauge = page.locator('.gauge');
    await gauge.waitFor();
    // A phone has no room for the words, and shows them as a title only.
    const words = () => gauge.getAttribute('title');
    const before = await words();
    await chat.field.fill('many more words than before, so that the gauge moves on');
    await expect.poll(words).not.toBe(before);
    await chat.field.fill('');
    await expect.poll(words).not.toMatch(/^$/);
    await page.reload();
    await gauge.waitFor();
  });
});

describe('what is typed', () => {
  it('is sent ahead after a pause, but not while an input method composes', async () => {
    const { chat, page, socket } = await pages.openFake();
    const drafts = () =>
      socket.events.flatMap((event) => (event.type === 'draft' ? [event.text] : []));
    // Time stands still from here on, so that nothing is waited for.
    await page.clock.install();
    await chat.field.pressSequentially('Why is the sky');
    await page.clock.runFor(1_000);
    await expect.poll(drafts).toEqual(['Why is the sky']);
    const devtools = await page.context().newCDPSession(page);
    await devtools.send('Input.imeSetComposition', {
      text: ' nihao',
      selectionStart: 6,
      selectionEnd: 6,
    });
    await page.clock.runFor(10_000);
    expect(drafts()).toEqual(['Why is the sky']);
    await devtools.send('Input.insertText', { text: '你好' });
    await page.clock.runFor(1_000);
    await expect.poll(drafts).toEqual(['Why is the sky', 'Why is the sky你好']);
    await chat.submit();
    await socket.receives(1);
    await page.clock.runFor(10_000);
    expect(drafts()).toHaveLength(2);
  });

  it('stays here if the person does not want it sent ahead', async () => {
    const { chat, page, socket } = await pages.openFake();
    await page.getByRole('button', { name: 'Settings', exact: true }).click();
    await page.getByRole('checkbox', { name: /Prepare while I type/ }).uncheck();
    await page.keyboard.press('Escape');
    await page.clock.install();
    await chat.field.pressSequentially('private words');
    await page.clock.runFor(10_000);
    expect(socket.events.filter(({ type }) => type === 'draft')).toEqual([]);
  });
});

describe('files', () => {
  it('go with the message, show their size before, and can be looked at after', async () => {
    const { chat, page } = await pages.open();
    await choose(page, file('report.py', 'print(1)\n'), file('notes.txt', '你好'));
    await page.getByText('report.py').waitFor();
    await page
      .getByText(/^\d+ tokens$/)
      .first()
      .waitFor();
    await page.getByRole('button', { name: 'Remove notes.txt' }).click();
    await chat.field.fill('What does this print?');
    await chat.submit();
    await chat.shows('You said: File: report.py');
    expect(await chat.questions.last().innerText()).toBe('What does this print?');
    await page.locator('article.user').getByRole('button', { name: 'report.py' }).click();
    await page.locator('article.user pre').filter({ hasText: 'print(1)' }).waitFor();
    expect(await page.getByRole('list', { name: 'Attached files' }).count()).toBe(1);
  });

  it('are kept with the draft, also without a word beside them', async () => {
    const { chat, page } = await pages.open();
    await choose(page, file('only.txt', 'nothing else'));
    await page.getByRole('button', { name: 'Remove only.txt' }).waitFor();
    await expect
      .poll(() => page.evaluate(() => JSON.stringify(localStorage)))
      .toContain('only.txt');
    await page.reload();
    await page.getByRole('button', { name: 'Remove only.txt' }).waitFor();
    await chat.connected();
    await chat.submit();
    await chat.shows('nothing else');
    expect(await chat.questions.count()).toBe(0);
  });

  it('that are no text are refused with a reason', async () => {
    const { page } = await pages.open();
    const png = Buffer.from(
      'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGM',
      'base64',
    );
    await choose(page, { ...file('photo.png', ''), buffer: png }, file('empty.txt', ''));
    await page.getByRole('alert').filter({ hasText: 'photo.png: this is a picture' }).waitFor();
    await page.getByRole('alert').filter({ hasText: 'empty.txt: the file is empty' }).waitFor();
    const refusals = page.getByRole('alert');
    for (let left = await refusals.count(); left > 0; left -= 1) {
      expect(await refusals.count()).toBe(left);
      await refusals.last().getByRole('button', { name: 'Dismiss' }).click();
      await expect.poll(() => refusals.count()).toBe(left - 1);
    }
  });

  for (const how of ['drop', 'paste'] as const) {
    it(`can come by ${how}`, async () => {
      const { page } = await pages.open();
      await page.evaluate((kind) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([new Uint8Array([0xc4, 0xe3, 0xba, 0xc3])], `${kind}ped.txt`));
        const field = document.querySelector('#message')!;
        const init = { bubbles: true, cancelable: true };
        field.dispatchEvent(
          kind === 'drop'
            ? new DragEvent('drop', { ...init, dataTransfer: transfer })
            : new ClipboardEvent('paste', { ...init, clipboardData: transfer }),
        );
      }, how);
      await page.getByText(`${how}ped.txt`).first().waitFor();
    });
  }
});

describe('keys', () => {
  it('are listed, and do what the list says', async () => {
    const { chat, page } = await pages.open();
    await chat.ask('something');
    await page.keyboard.press('Control+Shift+O');
    await expect.poll(() => chat.questions.count()).toBe(0);
    const list = page.getByRole('navigation', { name: 'Conversations' });
    await page.keyboard.press('Control+/');
    await list.waitFor({ state: 'hidden' });
    await page.keyboard.press('Control+/');
    await list.waitFor();
    await page.keyboard.press('Control+,');
    await page.getByRole('dialog', { name: 'Settings' }).waitFor();
    await page.keyboard.press('Escape');
    await page.locator('header').click();
    await page.evaluate(() => (document.activeElement as HTMLElement).blur());
    await page.keyboard.press('?');
    await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor();
  });
});
