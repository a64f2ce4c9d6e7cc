import type { BrowserContextOptions, Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { PHONE } from './setup/browser';
import { ChatPage } from './setup/chat_page';
import { typeNumber } from './setup/fields';
import { ask, exchange, type OpenedFake, Pages } from './setup/pages';
import { startServer } from './setup/server';

const pages = new Pages();

/** An answer that is longer than the screen and still being written. */
async function openLong(options: BrowserContextOptions = {}): Promise<OpenedFake> {
  const opened = await pages.openFake(options);
  await ask(opened);
  opened.socket.say(lines(0, 100));
  await opened.chat.shows('line 99');
  await expect.poll(() => distance(opened.page)).toBeLessThan(2);
  return opened;
}

function lines(from: number, to: number): string {
  return Array.from({ length: to - from }, (_, index) => `line ${from + index}\n\n`).join('');
}

function scroller(page: Page) {
  return page.getByRole('region', { name: 'Conversation' });
}

/** How far the end of the conversation is below what is seen. */
function distance(page: Page): Promise<number> {
  return scroller(page).evaluate((e) => e.scrollHeight - e.clientHeight - e.scrollTop);
}

/** A finger that was lifted and a wheel let the text glide on for a while. */
async function atRest(page: Page): Promise<void> {
  await scroller(page).evaluate(async (element) => {
    const STILL_FRAMES = 10;
    for (let still = 0, last = -1; still < STILL_FRAMES; still += 1) {
      if (element.scrollTop !== last) still = 0;
      last = element.scrollTop;
      await new Promise(requestAnimationFrame);
    }
  });
}

async function touchDrag(page: Page, byPx: number): Promise<void> {
  const devtools = await page.context().newCDPSession(page);
  const touch = (type: 'touchStart' | 'touchMove' | 'touchEnd', y: number) =>
    devtools.send('Input.dispatchTouchEvent', {
      type,
      touchPoints: type === 'touchEnd' ? [] : [{ x: 200, y }],
    });
  await touch('touchStart', 300);
  for (let step = 1; step <= 5; step += 1) await touch('touchMove', 300 + (byPx * step) / 5);
  await touch('touchEnd', 0);
}

describe('while an answer grows', () => {
  const ways: { how: string; options?: BrowserContextOptions; up: (page: Page) => unknown }[] = [
    {
      how: 'a wheel that turns by 4 pixels',
      up: async (page) => {
        await scroller(page).hover();
        await page.mouse.wheel(0, -4);
      },
    },
    {
      how: 'a wheel that turns by a notch',
      up: async (page) => {
        await scroller(page).hover();
        await page.mouse.wheel(0, -100);
      },
    },
    { how: 'a finger', options: PHONE, up: (page) => touchDrag(page, 40) },
    ...['ArrowUp', 'PageUp', 'Home'].map((key) => ({
      how: key,
      up: async (page: Page) => {
        await scroller(page).focus();
        await page.keyboard.press(key);
      },
    })),
  ];
  for (const { how, options, up } of ways) {
    it(`the first movement up lets go: ${how}`, async () => {
      const { chat, page, socket } = await openLong(options);
      await up(page);
      const back = page.getByRole('button', { name: 'Newest words' });
      await back.waitFor();
      await expect.poll(() => distance(page)).toBeGreaterThan(2);
      await atRest(page);
      const before = await distance(page);
      socket.say(lines(100, 200));
      await chat.shows('line 199');
      expect(await distance(page)).toBeGreaterThan(before + 1_000);
      await back.click();
      await expect.poll(() => distance(page)).toBeLessThan(2);
      socket.say(lines(200, 300));
      await chat.shows('line 299');
      await expect.poll(() => distance(page)).toBeLessThan(2);
    });
  }

  it('going down to the very end follows again', async () => {
    const { chat, page, socket } = await openLong();
    await scroller(page).focus();
    await page.keyboard.press('PageUp');
    await page.getByRole('button', { name: 'Newest words' }).waitFor();
    // A key down before the first frame of Page Up's scrolling is ignored by the browser itself.
    await expect.poll(() => distance(page)).toBeGreaterThan(2);
    await page.keyboard.press('End');
    await page.getByRole('button', { name: 'Newest words' }).waitFor({ state: 'hidden' });
    socket.say(lines(100, 200));
    await chat.shows('line 199');
    await expect.poll(() => distance(page)).toBeLessThan(2);
  });

  it('going down to the very end follows again, though the end moves meanwhile', async () => {
    const { chat, page, socket } = await openLong();
    await scroller(page).focus();
    await page.keyboard.press('PageUp');
    await expect.poll(() => distance(page)).toBeGreaterThan(2);
    await atRest(page);
    await page.keyboard.press('End');
    socket.say(lines(100, 200));
    await chat.shows('line 199');
    await expect.poll(() => distance(page)).toBeLessThan(2);
    await page.getByRole('button', { name: 'Newest words' }).waitFor({ state: 'hidden' });
  });

  it('it can be copied', async () => {
    const { page } = await openLong({ permissions: ['clipboard-read', 'clipboard-write'] });
    await page.locator('article.assistant').last().hover();
    await page.getByRole('button', { name: 'Copy this message' }).last().click();
    await page.getByRole('button', { name: 'Copied' }).waitFor();
    expect(await page.evaluate(() => navigator.clipboard.readText())).toContain('line 99');
  });

  it('a screen reader hears phases, not every word', async () => {
    const opened = await pages.openFake();
    const { chat, page, socket } = opened;
    await page.evaluate(() => {
      const heard: string[] = [];
      Object.assign(window, { heard });
      new MutationObserver(() => {
        const text = document.querySelector('[role=status]')!.textContent ?? '';
        if (heard.at(-1) !== text) heard.push(text);
      }).observe(document.body, { subtree: true, childList: true, characterData: true });
    });
    await ask(opened);
    for (let word = 0; word < 40; word += 1) {
      socket.say(`word${word} `);
      await chat.shows(`word${word} `.trim());
    }
    await page.getByText('40 words').waitFor();
    socket.end();
    await chat.answered();
    const heard = await page.evaluate(() => (window as unknown as { heard: string[] }).heard);
    expect(heard.length).toBeLessThanOrEqual(4);
    expect(heard).toContain('Writing…');
    expect(heard.join()).not.toMatch(/\d/);
  });

  it('the title says so, and that it ended while nobody looked', async () => {
    const { chat, page, socket } = await openLong();
    await expect.poll(() => page.title()).toBe('Writing… · question · banter');
    const show = (state: 'hidden' | 'visible') =>
      page.evaluate((value) => {
        Object.defineProperty(document, 'visibilityState', { configurable: true, value });
        document.dispatchEvent(new Event('visibilitychange'));
      }, state);
    await show('hidden');
    socket.end();
    await chat.answered();
    await expect.poll(() => page.title()).toBe('Answer ready · question · banter');
    await show('visible');
    await expect.poll(() => page.title()).toBe('question · banter');
  });
});

describe('Escape', () => {
  it('that belongs to an input method stops nothing', async () => {
    const { chat, page, socket } = await openLong();
    await chat.field.evaluate((field) => {
      const init = { key: 'Escape', bubbles: true, cancelable: true };
      field.dispatchEvent(new KeyboardEvent('keydown', { ...init, keyCode: 229 }));
      field.dispatchEvent(new KeyboardEvent('keydown', { ...init, isComposing: true }));
    });
    await page.keyboard.press('Escape');
    expect((await socket.receives(2)).type).toBe('stop');
    expect(socket.sent).toHaveLength(2);
    socket.endFor('stopped');
    await chat.answered();
  });

  it('in an editor closes the editor only, and gives the focus back', async () => {
    const opened = await pages.openFake();
    const { chat, page, socket } = opened;
    await exchange(opened);
    const edit = page.getByRole('button', { name: 'Edit this message' });
    await page.locator('article.user').hover();
    await edit.click();
    await chat.field.fill('another');
    await chat.submit();
    await socket.receives(2);
    const editor = page.getByRole('textbox', { name: 'Edit this message' });
    await editor.press('Escape');
    await editor.waitFor({ state: 'detached' });
    expect(socket.sent).toHaveLength(2);
    await page.keyboard.press('Escape');
    expect((await socket.receives(3)).type).toBe('stop');
    socket.endFor('stopped');
    await chat.answered();
  });
});

describe('the end of an answer', () => {
  const cases = [
    { reason: 'length', says: 'Cut at 2,048 tokens.', offers: 'Continue' },
    { reason: 'filtered', says: "engine's filter held back the rest", offers: 'Edit the question' },
    { reason: 'unavailable', says: 'lacked the resources to continue', offers: 'Continue' },
    { reason: 'shutdown', says: 'The server was shut down.', offers: 'Continue' },
    { reason: 'disconnected', says: 'Nobody followed this answer', offers: 'Continue' },
  ] as const;
  for (const { reason, says, offers } of cases) {
    it(`that is not whole says so and offers what helps: ${reason}`, async () => {
      const opened = await pages.openFake();
      const { chat, page, socket } = opened;
      await ask(opened);
      socket.endFor(reason, 'Once upon a time');
      await page.getByText(says).waitFor();
      await page.reload();
      await chat.connected();
      await page.getByText(says).waitFor();
      await page.getByRole('button', { name: offers, exact: true }).waitFor();
    });
  }

  it('that was cut can be gone on with, and the part is kept', async () => {
    const opened = await pages.openFake();
    const { chat, page, socket } = opened;
    await ask(opened);
    socket.endFor('length', 'Once upon a time');
    await page.getByRole('button', { name: 'Continue', exact: true }).click();
    expect((await socket.receives(2)).type).toBe('continue');
    socket.end(' there was a village.');
    await chat.shows('Once upon a time there was a village.');
    expect(await page.getByRole('button', { name: 'Continue', exact: true }).count()).toBe(0);
  });

  it('that is gone on with is drawn as one text', async () => {
    const opened = await pages.openFake();
    const { chat, page, socket } = opened;
    await ask(opened);
    socket.endFor('length', 'A list:\n\n1. first\n2. sec');
    await page.getByRole('button', { name: 'Continue', exact: true }).click();
    await socket.receives(2);
    socket.end('ond\n3. third\n\n```js\nlet x;\n```');
    await chat.shows('third');
    await chat.answered();
    const items = page.locator('article.assistant ol > li');
    expect(await items.allInnerTexts()).toEqual(['first', 'second', 'third']);
    expect(await page.locator('article.assistant p').count()).toBe(1);
  });

  it('that is whole says nothing', async () => {
    const opened = await pages.openFake();
    const { page } = opened;
    await exchange(opened, 'question', 'all of it');
    expect(await page.locator('.end').count()).toBe(0);
  });

  it('that was stopped can be gone on with', async () => {
    const { chat, page, socket } = await openLong();
    await page.keyboard.press('Escape');
    await socket.receives(2);
    socket.endFor('stopped');
    await chat.answered();
    await page.getByRole('button', { name: 'Continue', exact: true }).waitFor();
  });
});

describe('the keyboard', () => {
  it('keeps its place when another answer begins and when a new conversation does', async () => {
    const opened = await pages.openFake();
    const { chat, page, socket } = opened;
    await exchange(opened);
    const isInField = () => chat.field.evaluate((field) => field === document.activeElement);
    await page.getByRole('button', { name: 'Answer again' }).focus();
    await page.keyboard.press('Enter');
    await expect.poll(isInField).toBe(true);
    await socket.receives(2);
    socket.end('answer');
    await chat.answered();
    await page.locator('header').getByRole('button', { name: 'New conversation' }).focus();
    await page.keyboard.press('Space');
    await expect.poll(isInField).toBe(true);
  });

  it('comes back to where it was when an editor closes', async () => {
    const opened = await pages.openFake();
    const { page } = opened;
    await exchange(opened);
    const edit = page.getByRole('button', { name: 'Edit this message' });
    await edit.focus();
    await page.keyboard.press('Enter');
    await page.getByRole('textbox', { name: 'Edit this message' }).press('Escape');
    await expect.poll(() => edit.evaluate((e) => e === document.activeElement)).toBe(true);
  });

  for (const key of ['Control+Enter', 'Meta+Enter']) {
    it(`sends with ${key}, also where Enter starts a line`, async () => {
      const { chat, socket } = await pages.openFake(PHONE);
      await chat.field.fill('first');
      await chat.field.press('Enter');
      await chat.field.pressSequentially('second');
      await chat.field.press(key);
      expect((await socket.receives(1)).text).toBe('first\nsecond');
      socket.end('answer');
      await chat.answered();
    });
  }

  it('reaches the message field with the first key', async () => {
    // Where nothing has the focus to begin with.
    const { chat, page } = await pages.openFake(PHONE);
    await page.keyboard.press('Tab');
    const link = page.getByRole('link', { name: 'Skip to the message field' });
    await expect.poll(() => link.evaluate((e) => e === document.activeElement)).toBe(true);
    await page.keyboard.press('Enter');
    await expect
      .poll(() => chat.field.evaluate((field) => field === document.activeElement))
      .toBe(true);
  });
});

describe('on a small screen', () => {
  const sizes = [
    {
      what: "above a phone's keyboard",
      options: { ...PHONE, viewport: { width: 390, height: 480 } },
      least: 200,
    },
    { what: 'at 400 % zoom', options: { viewport: { width: 320, height: 256 } }, least: 90 },
    { what: 'at 200 % zoom', options: { viewport: { width: 640, height: 400 } }, least: 180 },
    {
      what: 'on a phone on its side',
      options: { ...PHONE, viewport: { width: 844, height: 390 } },
      least: 180,
    },
  ];
  for (const { what, options, least } of sizes) {
    it(`there is room to read ${what}, also with a long draft`, async () => {
      const opened = await pages.openFake(options);
      const { chat, page } = opened;
      await exchange(opened, 'question', lines(0, 100));
      await chat.field.fill(Array.from({ length: 8 }, (_, line) => `line ${line}`).join('\n'));
      const height = (await scroller(page).boundingBox())!.height;
      expect(height).toBeGreaterThan(least);
      const [field, whole] = [(await chat.field.boundingBox())!, page.viewportSize()!];
      expect(field.y + field.height).toBeLessThanOrEqual(whole.height);
      expect((await chat.send.boundingBox())!.y).toBeLessThan(whole.height);
      const wider = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      expect(wider).toBe(0);
    });
  }

  it('nothing is pushed about at the first visit', async () => {
    const page = await pages.visit(PHONE);
    await page.addInitScript(() => {
      Object.assign(window, { shifted: 0 });
      new PerformanceObserver((list) => {
        for (const entry of list.getEntries() as (PerformanceEntry & { value: number })[])
          (window as unknown as { shifted: number }).shifted += entry.value;
      }).observe({ type: 'layout-shift', buffered: true });
    });
    await page.evaluate(() => localStorage.clear());
    await page.reload();
    await new ChatPage(page).connected();
    await page.getByText('Demo model: knows very little.').waitFor();
    await page.evaluate(() => new Promise(requestAnimationFrame));
    const shifted = await page.evaluate(() => (window as unknown as { shifted: number }).shifted);
    expect(shifted).toBeLessThan(0.1);
  });
});

describe('printing', () => {
  it('shows the whole conversation, and nothing to press', async () => {
    const opened = await pages.openFake();
    const { page } = opened;
    await exchange(opened, `question\n${lines(0, 100)}`, lines(0, 200));
    await page.emulateMedia({ media: 'print' });
    const { seen, whole } = await page.evaluate(() => ({
      seen: document.documentElement.scrollHeight,
      whole: document.querySelector('[role=log]')!.scrollHeight,
    }));
    expect(whole).toBeGreaterThan(8_000);
    expect(seen).toBeGreaterThanOrEqual(whole);
    expect(await page.locator('button:visible, textarea:visible').count()).toBe(0);
    const question = page.locator('.bubble');
    const folded = await question.evaluate((e) => e.scrollHeight - e.clientHeight);
    expect(folded).toBeLessThan(2);
  });

  it('cuts off no part of a wide table or formula', async () => {
    const opened = await pages.openFake();
    const { page } = opened;
    const cells = Array.from({ length: 40 }, (_, i) => `column-${i}`).join(' | ');
    const sum = Array.from({ length: 120 }, (_, i) => `x_{${i}}`).join(' + ');
    const table = `| ${cells} |\n|${'--|'.repeat(40)}\n| ${cells} |`;
    await exchange(opened, 'question', `${table}\n\n$$${sum}$$`);
    await page.locator('.katex').waitFor();
    await page.emulateMedia({ media: 'print' });
    const paperWidth = await page.evaluate(() => document.documentElement.clientWidth);
    for (const wide of ['[data-table]', '[data-math=display]']) {
      const scrolls = await page.locator(wide).evaluate((e) => getComputedStyle(e).overflowX);
      expect(scrolls, wide).toBe('visible');
    }
    for (const whole of ['td:last-child', '.katex-html > :last-child']) {
      const { x, width } = (await page.locator(whole).boundingBox())!;
      expect(x + width, whole).toBeLessThanOrEqual(paperWidth);
    }
  });
});

describe('a long question', () => {
  it('is folded, and unfolds', async () => {
    const opened = await pages.openFake();
    const { page } = opened;
    await exchange(opened, lines(0, 200), 'answer');
    const height = async () => (await page.locator('.bubble').boundingBox())!.height;
    expect(await height()).toBeLessThan(300);
    await page.getByRole('button', { name: 'Show more' }).click();
    expect(await height()).toBeGreaterThan(3_000);
    await page.getByRole('button', { name: 'Show less' }).click();
    expect(await height()).toBeLessThan(300);
  });
});

describe('copying', () => {
  it('an answer gives its words as they were written, and as rich text', async () => {
    const permissions = ['clipboard-read', 'clipboard-write'];
    const opened = await pages.openFake({ permissions });
    const { page } = opened;
    await exchange(opened, 'question', '**bold**\n\n```python\nimport this\n```');
    await page.getByRole('button', { name: 'Copy this message' }).last().click();
    await page.getByRole('button', { name: 'Copied' }).waitFor();
    const copied = await page.evaluate(async () => {
      const [item] = await navigator.clipboard.read();
      const text = async (type: string) => (await item!.getType(type)).text();
      return { plain: await text('text/plain'), html: await text('text/html') };
    });
    expect(copied.plain).toBe('**bold**\n\n```python\nimport this\n```');
    expect(copied.html).toMatch(/<strong[^>]*>bold<\/strong>/);
    expect(copied.html).toContain('import');
    expect(copied.html).not.toContain('<button');
  });

  it("by selecting leaves out the code's label", async () => {
    const opened = await pages.openFake();
    const { chat, page } = opened;
    await exchange(opened, 'question', 'before\n\n```python\nimport this\n```\n\nafter');
    await chat.shows('after');
    const selected = await page.evaluate(() => {
      getSelection()!.selectAllChildren(document.querySelector('article.assistant .answer')!);
      return getSelection()!.toString();
    });
    expect(selected).toContain('import this');
    expect(selected).not.toContain('python');
  });
});

describe('settings', () => {
  const SETTINGS = { name: 'Settings', exact: true };

  it('tell of each field what is wrong with it, and show what is sent when they open again', async () => {
    const { page } = await pages.openFake();
    await page.getByRole('button', SETTINGS).click();
    const longest = page.getByRole('spinbutton', { name: 'Longest answer' });
    const temperature = page.getByRole('spinbutton', { name: 'Temperature' });
    await typeNumber(longest, '1.5');
    await typeNumber(temperature, '5');
    await page.getByText('Please enter a whole number between 1 and 4,096.').waitFor();
    await page.getByText('Please stay between 0 and 2.').waitFor();
    expect(await longest.getAttribute('aria-invalid')).toBe('true');
    expect(await temperature.getAttribute('aria-invalid')).toBe('true');
    await page.keyboard.press('Escape');
    await page.getByRole('button', SETTINGS).click();
    expect([await longest.inputValue(), await temperature.inputValue()]).toEqual(['2048', '0.7']);
    expect(await page.getByText(/^Please/).count()).toBe(0);
  });

  it('take the default for an empty field', async () => {
    const opened = await pages.openFake();
    const { page, chat, socket } = opened;
    await page.getByRole('button', SETTINGS).click();
    const temperature = page.getByRole('spinbutton', { name: 'Temperature' });
    await typeNumber(temperature, '1.5');
    await typeNumber(temperature, '');
    expect(await page.getByText(/^Please/).count()).toBe(0);
    await page.getByRole('spinbutton', { name: 'Top p' }).focus();
    await expect.poll(() => temperature.inputValue()).toBe('0.7');
    await page.keyboard.press('Escape');
    await ask(opened);
    expect((await socket.receives(1)).parameters ?? {}).not.toHaveProperty('temperature');
    socket.end('answer');
    await chat.answered();
  });

  it('can be typed anew from an empty field', async () => {
    const { page } = await pages.openFake();
    await page.getByRole('button', SETTINGS).click();
    const temperature = page.getByRole('spinbutton', { name: 'Temperature' });
    await typeNumber(temperature, '');
    await temperature.pressSequentially('1.2');
    expect(await temperature.inputValue()).toBe('1.2');
    await page.getByRole('button', { name: 'Back to the defaults' }).click();
    await expect.poll(() => temperature.inputValue()).toBe('0.7');
  });

  it('say outside that an instruction is active', async () => {
    const { page } = await pages.openFake();
    const chip = page.getByRole('button', { name: /An instruction for the model applies/ });
    expect(await chip.count()).toBe(0);
    await page.getByRole('button', SETTINGS).click();
    await page
      .getByRole('textbox', { name: 'Instruction for the model' })
      .pressSequentially('Be brief.');
    await page.keyboard.press('Escape');
    await chip.waitFor();
    await page.reload();
    await chip.click();
    await page.getByRole('dialog', { name: 'Settings' }).waitFor();
  });
});

describe('suggestions', () => {
  it('before a real model are none of the demo model', async () => {
    const real = await startServer();
    const page = await pages.visit({}, real.url);
    await new ChatPage(page).connected();
    const offers = await page.getByRole('list', { name: 'Things to try' }).innerText();
    expect(offers).not.toMatch(/Qwen2\.5|weather/);
    await real.stop();
  });
});
