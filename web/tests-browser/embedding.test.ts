/** The widget in pages of other sites: two origins, a real server, and keys made by command. */

import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { violations } from './setup/axe';
import { launchBrowser, launchWithProfile, PHONE, visit, WIDE } from './setup/browser';
import { ChatServer, open, openIn, pageWith, scriptTag, Site, WidgetPage } from './setup/embedding';

const ROOT = join(import.meta.dirname, '../..');

let browser: Browser;
let chat: ChatServer;
let wiki: Site;
/** A site that no key names. */
let other: Site;
let key: string;

beforeAll(async () => {
  [browser, chat, wiki, other] = await Promise.all([
    launchBrowser(),
    ChatServer.start(),
    Site.start(),
    Site.start(),
  ]);
  key = await chat.addKey('wiki', [wiki.origin]);
  wiki.put('/', pageWith(scriptTag(chat.url, key)));
  wiki.put('/frame', pageWith(frame(`key=${key}`)));
});
afterAll(async () => {
  await Promise.all([browser?.close(), chat?.stop(), wiki?.stop(), other?.stop()]);
});

function frame(query: string): string {
  return `<iframe title="Chat" src="${chat.url}/embed?${query}" width="400" height="600"></iframe>`;
}

describe('the script', () => {
  it('puts a conversation into a page of another origin, without cookies', async () => {
    const { page, trouble, close } = await open(browser, wiki.origin, WIDE);
    const widget = new WidgetPage(page);
    await widget.show();
    await page.getByText('What would you like to know?').waitFor();
    await widget.ask('hello');
    await widget.say('echo **bold** and `code` <img src=x onerror=alert(1)>');
    await widget.answers.locator('strong', { hasText: 'bold' }).waitFor();
    expect(await widget.answers.locator('img').count()).toBe(0);
    expect(await page.context().cookies()).toEqual([]);
    const kept = await page.evaluate(() => Object.keys(localStorage));
    expect(kept.length).toBeGreaterThan(1);
    for (const name of kept) expect(name).toMatch(/^banter\.embed\.http:\/\/localhost:\d+\//);
    expect(trouble).toMatchObject({ errors: [], policyViolations: [], dialogs: [] });
    await close();
  });

  it('asks nothing of the server until somebody wants to talk', async () => {
    const { page, close } = await open(browser, 'about:blank', WIDE);
    const asked: string[] = [];
    page.on('request', (request) => asked.push(request.url()));
    page.on('websocket', (socket) => asked.push(socket.url()));
    await page.goto(wiki.origin);
    const widget = new WidgetPage(page);
    await widget.bubble.waitFor();
    expect(asked).toEqual([`${wiki.origin}/`, `${chat.url}/embed.js`]);
    await widget.show();
    await widget.ask('hello');
    expect(asked).toContain(`${chat.url.replace('http', 'ws')}/ws?visitor`);
    await close();
  });

  it('is closed to the page', async () => {
    const { page, close } = await visit(browser, wiki.origin, WIDE);
    await page.locator('banter-chat').waitFor({ state: 'attached' });
    const root = await page.evaluate(() => document.querySelector('banter-chat')!.shadowRoot);
    expect(root).toBeNull();
    await close();
  });

  it('says on a page that no key names what its operator can do', async () => {
    const page = other.put('/', pageWith(scriptTag(chat.url, key)));
    const visited = await open(browser, page, WIDE);
    const widget = new WidgetPage(visited.page);
    await widget.show();
    await widget.status.filter({ hasText: `Pages of ${other.origin} may not use` }).waitFor();
    await widget.status.filter({ hasText: `--origin ${other.origin}` }).waitFor();
    await widget.field.fill('hello');
    expect(await widget.button('Send').isDisabled()).toBe(true);
    await visited.close();
  });

  it('says that a key is wrong, and does not try again', async () => {
    const page = wiki.put('/wrong', pageWith(scriptTag(chat.url, 'aaaaaaaaaaaaaaaaaaaaaaaaaa')));
    const visited = await open(browser, page, WIDE);
    let sockets = 0;
    visited.page.on('websocket', () => (sockets += 1));
    const widget = new WidgetPage(visited.page);
    await widget.show();
    await widget.status.filter({ hasText: 'The key of this chat is wrong' }).waitFor();
    expect(sockets).toBe(1);
    await visited.close();
  });

  it('is told within a second that its key was revoked', async () => {
    const gone = await chat.addKey('gone', [wiki.origin]);
    const page = wiki.put('/gone', pageWith(scriptTag(chat.url, gone)));
    const visited = await open(browser, page, WIDE);
    const widget = new WidgetPage(visited.page);
    await widget.show();
    await widget.ask('hello');
    await chat.revoke('gone', gone);
    await widget.status.filter({ hasText: 'The key of this chat is wrong' }).waitFor();
    await widget.shows('You said: hello');
    await visited.close();
  });

  it('keeps the conversation when the page is loaded again, also an answer on its way', async () => {
    const { page, close } = await open(browser, wiki.origin, WIDE);
    const widget = new WidgetPage(page);
    await widget.show();
    await widget.ask('hello');
    await widget.finished();
    await widget.say('tokens 400 10');
    await widget.shows('word20');
    await page.reload();
    // It stays open in this tab.
    await widget.shows('You said: hello');
    await widget.shows('word399');
    await widget.finished();
    const words = (await widget.answers.last().innerText()).trim().split(/\s+/);
    expect(words).toEqual(Array.from({ length: 400 }, (_, at) => `word${at}`));
    await close();
  });

  it('goes on where it was when the network is back', async () => {
    const { page, close } = await open(browser, wiki.origin, WIDE);
    const widget = new WidgetPage(page);
    await widget.show();
    await widget.say('tokens 600 10');
    await widget.shows('word20');
    await page.context().setOffline(true);
    await widget.button('Try now').waitFor();
    await widget.field.fill('written offline');
    await page.context().setOffline(false);
    await widget.shows('word599');
    await widget.finished();
    const words = (await widget.answers.last().innerText()).trim().split(/\s+/);
    expect(words).toHaveLength(600);
    expect(await widget.field.inputValue()).toBe('written offline');
    await close();
  });

  it('stops an answer, and a cut one looks cut', async () => {
    const { page, close } = await open(browser, wiki.origin, WIDE);
    const widget = new WidgetPage(page);
    await widget.show();
    await widget.say('tokens 100000 10');
    // By then the button takes presses again, which it does not right after a message was sent.
    await widget.shows('word80');
    await widget.button('Stop').click();
    await page.getByText(/Stopped, \d+ words kept\./).waitFor();
    expect(await widget.answers.innerText()).not.toContain('word99999');
    await widget.say('ends length half of it');
    await page.getByText(/Cut at/).waitFor();
    await widget.button('Continue').waitFor();
    await widget.say('busy');
    await page.getByRole('alert').filter({ hasText: 'The server is busy' }).waitFor();
    await widget.button('Ask again').waitFor();
    await close();
  });

  it('begins anew when that is wanted, and shows the old conversation to nobody', async () => {
    const { page, close } = await open(browser, wiki.origin, WIDE);
    const widget = new WidgetPage(page);
    await widget.show();
    await widget.ask('a secret');
    await widget.button('New conversation').click();
    expect(await widget.answers.count()).toBe(0);
    await widget.ask('something else');
    await page.reload();
    await widget.shows('something else');
    expect(await widget.answers.filter({ hasText: 'a secret' }).count()).toBe(0);
    await close();
    const stranger = await open(browser, wiki.origin, WIDE);
    const theirs = new WidgetPage(stranger.page);
    await theirs.show();
    await theirs.finished();
    expect(await theirs.answers.count()).toBe(0);
    await stranger.close();
  });

  it('has an operator whose words come first and are not shown', async () => {
    const told = ['--system', 'Answer like a pirate.'];
    const own = await chat.addKey('pirates', [wiki.origin], told);
    const page = wiki.put('/pirates', pageWith(scriptTag(chat.url, own)));
    const visited = await open(browser, page, WIDE);
    const widget = new WidgetPage(visited.page);
    await widget.show();
    await widget.say('history');
    await widget.shows('"role":"system","content":"Answer like a pirate."');
    await visited.close();
  });

  it('can be there twice, with two keys', async () => {
    const second = await chat.addKey('second', [wiki.origin]);
    const tags = [
      scriptTag(chat.url, key, 'data-title="One"'),
      scriptTag(chat.url, second, 'data-title="Two" data-position="left"'),
    ];
    const visited = await open(browser, wiki.put('/two', pageWith(tags.join(''))), WIDE);
    const [one, two] = [
      new WidgetPage(visited.page, 'One'),
      new WidgetPage(visited.page, 'Two'),
    ] as const;
    const [right, left] = [await one.bubble.boundingBox(), await two.bubble.boundingBox()];
    expect(left!.x + left!.width).toBeLessThan(right!.x);
    await one.show();
    await one.ask('to the first');
    await visited.page.keyboard.press('Escape');
    await two.show();
    await two.finished();
    expect(await two.answers.count()).toBe(0);
    await two.ask('to the second');
    await visited.close();
  });

  it('is as the site wants it: words, language, colours, theme', async () => {
    const attributes =
      'data-title="问一问" data-greeting="你好" data-suggestions="怎么安装？|怎么卸载？" data-theme="dark" data-accent="#ffee00"';
    const page = wiki.put('/zh', pageWith(scriptTag(chat.url, key, attributes), 'zh-CN'));
    const visited = await open(browser, page, { ...WIDE, colorScheme: 'light' });
    await visited.page.getByRole('button', { name: '打开：问一问' }).click();
    await visited.page.getByRole('dialog', { name: '问一问' }).getByText('你好').waitFor();
    const scheme = await visited.page
      .locator('.widget')
      .evaluate((widget) => getComputedStyle(widget).colorScheme);
    expect(scheme).toBe('dark');
    expect(await violations(visited.page)).toEqual([]);
    await visited.page.getByRole('button', { name: '怎么安装？' }).click();
    await visited.page.locator('.answer', { hasText: 'You said: 怎么安装？' }).waitFor();
    await visited.close();
  });

  it('looks the same whatever the styles of the page are', async () => {
    const styles = `<style>
      html { font-size: 62.5% } * { color: red; letter-spacing: 5px } button { display: none }
      body { line-height: 3; text-transform: uppercase; direction: ltr; visibility: visible }
    </style>`;
    const plain = await open(browser, wiki.origin, WIDE);
    const styled = await open(
      browser,
      wiki.put('/styled', pageWith(styles + scriptTag(chat.url, key))),
      WIDE,
    );
    const looks = [];
    for (const { page } of [plain, styled]) {
      const widget = new WidgetPage(page);
      await widget.show();
      await widget.ask('hello');
      looks.push(
        await widget.answers.evaluate((answer) => {
          const { color, fontSize, letterSpacing, lineHeight, textTransform } =
            getComputedStyle(answer);
          const sheet = answer.closest('dialog')!.getBoundingClientRect();
          const size = [sheet.width, sheet.height];
          return { color, fontSize, letterSpacing, lineHeight, textTransform, size };
        }),
      );
    }
    expect(looks[1]).toEqual(looks[0]);
    await Promise.all([plain.close(), styled.close()]);
  });
});

describe('a strict policy of the page', () => {
  it('needs the lines that the documentation names, and no others', async () => {
    const policy = policyInDocs('script').replaceAll('https://chat.example.com', chat.url);
    const sockets = policy.replaceAll('wss://chat.example.com', chat.url.replace('http', 'ws'));
    const page = wiki.put('/strict', pageWith(scriptTag(chat.url, key)), {
      'content-security-policy': `default-src 'none'; ${sockets}`,
    });
    const { page: tab, trouble, close } = await open(browser, page, WIDE);
    const widget = new WidgetPage(tab);
    await widget.show();
    await widget.ask('hello');
    const surface = await widget.dialog.evaluate((one) => getComputedStyle(one).position);
    expect(surface).toBe('fixed');
    expect(trouble).toMatchObject({ errors: [], policyViolations: [] });
    await close();
  });

  it('about frames needs one line', async () => {
    const policy = policyInDocs('frame').replaceAll('https://chat.example.com', chat.url);
    const page = wiki.put('/strict-frame', pageWith(frame(`key=${key}`)), {
      'content-security-policy': `default-src 'none'; ${policy}`,
    });
    const { page: tab, trouble, close } = await open(browser, page, WIDE);
    await new WidgetPage(tab.frameLocator('iframe')).ask('hello');
    expect(trouble).toMatchObject({ errors: [], policyViolations: [] });
    await close();
  });

  it('about trusted types needs one name', async () => {
    const page = wiki.put('/trusted', pageWith(scriptTag(chat.url, key)), {
      'content-security-policy': policyInDocs('trusted types'),
    });
    const { page: tab, trouble, close } = await open(browser, page, WIDE);
    const widget = new WidgetPage(tab);
    await widget.show();
    await widget.ask('hello');
    expect(trouble).toMatchObject({ errors: [], policyViolations: [] });
    await close();
  });

  /** The policy that `docs/EMBED.md` names for something. */
  function policyInDocs(what: string): string {
    const docs = readFileSync(join(ROOT, 'docs/EMBED.md'), 'utf8');
    const found = new RegExp('```csp ' + what + '\\n([^`]+)```').exec(docs);
    return found![1]!.trim().replaceAll('\n', ' ');
  }
});

describe('the frame', () => {
  it('shows the same without the bubble, and keeps the conversation', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'banter-profile-'));
    const context = await launchWithProfile(folder);
    const { page, trouble, close } = await openIn(context, `${wiki.origin}/frame`);
    const widget = new WidgetPage(page.frameLocator('iframe'));
    await widget.ask('hello');
    expect(await widget.bubble.count()).toBe(0);
    await page.reload();
    await widget.shows('You said: hello');
    expect(await page.context().cookies()).toEqual([]);
    expect(trouble).toMatchObject({ errors: [], policyViolations: [] });
    await close();
    await rm(folder, { recursive: true });
  });

  it('can be used where the browser gives it no storage', async () => {
    const { page, trouble, close } = await open(browser, `${wiki.origin}/frame`, WIDE);
    const frame = page.frames().find((one) => one !== page.mainFrame())!;
    await expect(frame.evaluate(() => localStorage.length)).rejects.toThrow('Access is denied');
    await new WidgetPage(page.frameLocator('iframe')).ask('hello');
    expect(trouble).toMatchObject({ errors: [], policyViolations: [] });
    await close();
  });

  it('is shown in no page of another origin', async () => {
    const page = other.put('/frame', pageWith(frame(`key=${key}`)));
    const { page: tab, close } = await open(browser, page, WIDE);
    const framed = tab.frames().find((one) => one !== tab.mainFrame())!;
    await expect.poll(() => framed.url()).toMatch(/^chrome-error:|^about:neterror/);
    await close();
  });

  it('takes its words and colours from its address', async () => {
    const query = `key=${key}&title=Help&lang=zh&theme=dark&suggestions=%E6%80%8E%E4%B9%88%EF%BC%9F`;
    const page = wiki.put('/framed', pageWith(frame(query)));
    const { page: tab, close } = await open(browser, page, WIDE);
    const framed = tab.frameLocator('iframe');
    await framed.getByRole('heading', { name: 'Help' }).waitFor();
    await framed.getByRole('button', { name: '怎么？' }).click();
    await framed.locator('.answer', { hasText: 'You said: 怎么？' }).waitFor();
    await close();
  });

  it('tells a person who opens it without a key what to do', async () => {
    const { page, close } = await open(browser, `${chat.url}/embed?key=wrong`, WIDE);
    await page.getByRole('heading', { name: 'This chat has no valid key' }).waitFor();
    await close();
  });

  it('can be opened as a page of its own', async () => {
    const { page, trouble, close } = await open(browser, `${chat.url}/embed?key=${key}`, WIDE);
    const widget = new WidgetPage(page);
    await widget.ask('hello');
    expect(await violations(page)).toEqual([]);
    expect(await page.context().cookies()).toEqual([]);
    expect(trouble).toMatchObject({ errors: [], policyViolations: [] });
    await close();
  });
});

describe('with keys alone', () => {
  it('the widget is opened, used and left, and the page hears nothing of it', async () => {
    const count =
      '<script>heard = 0; for (const type of ["keydown", "keyup", "keypress"]) addEventListener(type, () => (heard += 1));</script>';
    const address = wiki.put('/keys', pageWith(count + scriptTag(chat.url, key)));
    const { page, close } = await open(browser, address, WIDE);
    const widget = new WidgetPage(page);
    await widget.bubble.waitFor();
    await widget.bubble.focus();
    await page.keyboard.press('Enter');
    await widget.field.waitFor();
    await expect.poll(() => focused(page)).toBe('Your message');
    const before = await page.evaluate('heard');
    await page.keyboard.type('hello');
    await page.keyboard.press('Enter');
    await widget.shows('You said: hello');
    await widget.finished();
    await page.keyboard.press('Escape');
    await widget.dialog.waitFor({ state: 'hidden' });
    expect(await focused(page)).toBe('Open: Chat');
    expect(await page.evaluate('heard')).toBe(before);
    await close();
  });

  it('a conversation that is open when the page is loaded leaves the focus to the page', async () => {
    const { page, close } = await open(browser, wiki.origin, WIDE);
    const widget = new WidgetPage(page);
    await widget.show();
    await page.reload();
    await widget.field.waitFor();
    await widget.finished();
    expect(await page.evaluate(() => document.activeElement?.nodeName)).not.toBe('BANTER-CHAT');
    await close();
  });
});

describe('on a phone', () => {
  it('the conversation covers the page, and the focus stays in it', async () => {
    const { page, close } = await open(browser, wiki.origin, PHONE);
    const widget = new WidgetPage(page);
    await widget.bubble.tap();
    await widget.dialog.waitFor();
    const box = (await widget.dialog.boundingBox())!;
    expect(box).toEqual({ x: 0, y: 0, ...PHONE.viewport });
    expect(await widget.field.evaluate((field) => getComputedStyle(field).fontSize)).toBe('16px');
    await widget.field.tap();
    await widget.field.fill('hello');
    await widget.button('Send').tap();
    await widget.shows('You said: hello');
    for (let presses = 0; presses < 20; presses += 1) {
      await page.keyboard.press('Tab');
      const element = await page.evaluate(() => document.activeElement?.nodeName ?? 'BODY');
      expect(['BANTER-CHAT', 'BODY']).toContain(element);
    }
    expect(await violations(page)).toEqual([]);
    const small = await widget.dialog.evaluate((dialog) =>
      [...dialog.querySelectorAll('button')]
        .filter((button) => button.checkVisibility({ visibilityProperty: true }))
        .map((button) => button.getBoundingClientRect())
        .filter(({ width, height }) => height > 0 && (width < 44 || height < 44)),
    );
    expect(small).toEqual([]);
    await widget.button('Close').tap();
    await widget.dialog.waitFor({ state: 'hidden' });
    expect(await focused(page)).toBe('Open: Chat');
    await close();
  });

  it('that is turned while the conversation is open, nothing is lost', async () => {
    const { page, close } = await open(browser, wiki.origin, WIDE);
    const widget = new WidgetPage(page);
    await widget.show();
    await widget.field.fill('half a question');
    await page.setViewportSize({ width: 400, height: 800 });
    await expect.poll(async () => (await widget.dialog.boundingBox())?.width).toBe(400);
    await page.setViewportSize(WIDE.viewport);
    await expect.poll(async () => (await widget.dialog.boundingBox())?.width).toBeLessThan(400);
    expect(await widget.field.inputValue()).toBe('half a question');
    await close();
  });
});

describe('axe finds nothing', () => {
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const forcedColors of ['none', 'active'] as const) {
      it(`in ${colorScheme}, forced colours ${forcedColors}`, async () => {
        const settings = { ...WIDE, colorScheme, forcedColors, reducedMotion: 'reduce' } as const;
        const { page, close } = await open(browser, wiki.origin, settings);
        const widget = new WidgetPage(page);
        await widget.bubble.waitFor();
        expect(await violations(page)).toEqual([]);
        await widget.show();
        expect(await violations(page)).toEqual([]);
        await widget.say(
          'echo # Title\n\n- one\n\n```js\nlet a = 1\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |',
        );
        await widget.answers.locator('table').waitFor();
        await widget.finished();
        expect(await violations(page)).toEqual([]);
        await close();
      });
    }
  }
});

describe('the examples in examples/embed', () => {
  const folder = join(ROOT, 'examples/embed');
  for (const name of readdirSync(folder).filter((file) => file.endsWith('.html'))) {
    it(`${name} shows a conversation`, async () => {
      const source = readFileSync(join(folder, name), 'utf8');
      expect(source).toContain('https://chat.example.com');
      const body = source
        .replaceAll('wss://chat.example.com', chat.url.replace('http', 'ws'))
        .replaceAll('https://chat.example.com', chat.url)
        .replaceAll('THE-KEY', key);
      const { page, trouble, close } = await open(browser, wiki.put(`/${name}`, body), WIDE);
      const link = page.getByRole('link', { name: /chat|聊天/i });
      if (await link.count()) await link.click();
      const isFramed = (await page.locator('iframe').count()) > 0;
      const widget = isFramed ? page.frameLocator('iframe') : page;
      if (source.includes('embed.js'))
        await widget.getByRole('button', { name: /^(Open|打开)/ }).click();
      const field = widget.getByRole('textbox');
      await field.fill('hello');
      await field.press('Enter');
      await widget.locator('.answer', { hasText: 'You said: hello' }).waitFor();
      expect(trouble).toMatchObject({ errors: [], policyViolations: [] });
      await close();
    });
  }
});

/** The name of what has the focus, also within the widget. */
function focused(page: { evaluate<T>(run: () => T): Promise<T> }): Promise<string | null> {
  return page.evaluate(() => {
    let element = document.activeElement;
    while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
    return element?.getAttribute('aria-label') ?? null;
  });
}
