import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BrowserContextOptions, Locator, Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { ask, type OpenedFake, Pages } from './setup/pages';

const pages = new Pages();

interface Writing extends OpenedFake {
  readonly answer: Locator;
}

/** A page that has asked and waits for the test to answer. */
async function asked(options: BrowserContextOptions = {}): Promise<Writing> {
  const opened = await pages.openFake(options);
  await ask(opened);
  return { ...opened, answer: opened.chat.answers.last() };
}

/** A page with an answer that has come to its end. */
async function answered(text: string, options: BrowserContextOptions = {}): Promise<Writing> {
  const writing = await asked(options);
  writing.socket.end(text);
  await writing.chat.answered();
  return writing;
}

/** Selects a word within an answer, as a double click does. */
function select(answer: Locator, word: string): Promise<void> {
  return answer.evaluate((element, wanted) => {
    const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const at = node.textContent!.indexOf(wanted);
      if (at !== -1) return getSelection()!.setBaseAndExtent(node, at, node, at + wanted.length);
    }
    throw new Error(`no ${wanted}`);
  }, word);
}

function selected(page: Page): Promise<string> {
  return page.evaluate(() => getSelection()!.toString());
}

describe('while an answer is being written', () => {
  const places = [
    { name: 'a paragraph', begin: 'some **bold', more: ' words** and', last: ' others' },
    { name: 'an item', begin: '1. zero\n2. some bold', more: ' words', last: '\n3. others' },
    { name: 'a cell', begin: '| a |\n|--|\n| some bold', more: ' words', last: ' |\n| others' },
    { name: 'code', begin: '```js\nsome bold', more: ' words', last: '\nothers' },
    { name: 'a quote', begin: '> some bold', more: ' words', last: '\n> others' },
  ];
  for (const { name, begin, more, last } of places) {
    it(`a selection in ${name} stays`, async () => {
      const { chat, page, socket, answer } = await asked();
      socket.say(begin);
      await chat.shows('some bold');
      await select(answer, 'bold');
      socket.say(more);
      await chat.shows('bold words');
      expect(await selected(page)).toBe('bold');
      socket.say(last);
      await chat.shows('others');
      expect(await selected(page)).toBe('bold');
    });
  }

  it('a selection in code stays when its fence is closed, and the colours wait for it', async () => {
    const { chat, page, socket, answer } = await asked();
    // Where the highlighter has been fetched.
    socket.say('```js\nlet y;\n```\n\n```js\nlet first = 1;\nlet x');
    await answer.locator('.hljs-keyword').waitFor();
    await chat.shows('let first');
    await select(answer, 'first');
    socket.say(' = 2;\n```\n\n```js\nlet z;\n```\n\nafter');
    await chat.shows('after');
    await expect.poll(() => answer.locator('.hljs-keyword').count()).toBe(2);
    expect(await selected(page)).toBe('first');
    await page.evaluate(() => getSelection()!.removeAllRanges());
    await expect.poll(() => answer.locator('.hljs-keyword').count()).toBe(4);
    expect(await answer.locator('pre').nth(1).innerText()).toBe('let first = 1;\nlet x = 2;');
  });

  it('a link opens, although words come between press and release', async () => {
    const { chat, page, socket, answer } = await asked();
    await page
      .context()
      .route('https://example.org/**', (route) => route.fulfill({ body: 'there' }));
    socket.say('see [the page](https://example.org/x) and');
    const link = answer.getByRole('link', { name: 'the page' });
    await link.hover();
    await page.mouse.down();
    socket.say(' more words');
    await chat.shows('more words');
    const opened = page.context().waitForEvent('page');
    await page.mouse.up();
    await (await opened).waitForURL('https://example.org/x');
  });

  it('finished code in a list is coloured and can be copied', async () => {
    const permissions = ['clipboard-read', 'clipboard-write'];
    const { chat, page, socket, answer } = await asked({ permissions });
    socket.say('1. first:\n\n   ```js\n   let x = 1;\n   ```\n\n2. sec');
    await answer.locator('.hljs-keyword').waitFor();
    const copy = answer.getByRole('button', { name: 'Copy the code' });
    await copy.hover();
    await page.mouse.down();
    socket.say('ond\n3. third');
    await chat.shows('third');
    await page.mouse.up();
    await answer.getByRole('button', { name: 'Copied' }).waitFor();
    expect(await page.evaluate(() => navigator.clipboard.readText())).toBe('let x = 1;');
  });

  it('a reference whose definition comes at the end becomes a link, and a selection stays', async () => {
    const { chat, page, socket, answer } = await asked();
    socket.say(
      '- see [the page][1]\n- two\n\n| a | see |\n|--|--|\n| b | [the page][1] |\n| c | d |',
    );
    socket.say('\n\n- [the page][1]\n- four\n\nwords');
    await chat.shows('words');
    await select(answer, 'two');
    socket.end('\n\n[1]: https://example.org/x');
    await chat.answered();
    const links = answer.getByRole('link', { name: 'the page' });
    await expect.poll(() => links.count()).toBe(3);
    expect(await selected(page)).toBe('two');
  });

  it('finished items take part in a switch to another language', async () => {
    const { chat, page, socket, answer } = await asked();
    socket.say('- [x] one\n- two:\n\n  ```js\n  let x = 1;\n  ```\n- three\n- four');
    await chat.shows('four');
    await answer.getByRole('checkbox', { name: 'Done' }).waitFor();
    await select(answer, 'three');
    await chat.inMenu('中文');
    await answer.getByRole('button', { name: '复制代码' }).waitFor();
    await answer.getByRole('checkbox', { name: '已完成' }).waitFor();
    expect(await answer.locator('li').count()).toBe(4);
    expect(await selected(page)).toBe('three');
    socket.say(' and more');
    await chat.shows('four and more');
  });

  it('a wide table stays where it was scrolled to', async () => {
    const { chat, socket, answer } = await asked();
    const cells = Array.from({ length: 30 }, (_, i) => `column-${i}`).join(' | ');
    socket.say(`| ${cells} |\n|${'--|'.repeat(30)}\n| ${cells} |\n| one`);
    const wide = answer.locator('[data-table]');
    await wide.evaluate((element) => (element.scrollLeft = 150));
    socket.say(' | two |\n| three');
    await chat.shows('three');
    expect(await wide.evaluate((element) => element.scrollLeft)).toBe(150);
  });

  it('what has been unfolded stays open', async () => {
    const { chat, socket, answer } = await asked();
    socket.say('<details>\n<summary>More</summary>\n\none');
    await answer.getByText('More').click();
    socket.say(' two');
    await chat.shows('one two');
    expect(
      await answer.locator('details').evaluate((details) => details.hasAttribute('open')),
    ).toBe(true);
    socket.say('\n\n</details>\n\nafter');
    await chat.shows('after');
    expect(await answer.getByText('one two').isVisible()).toBe(true);
  });

  const long = [
    { name: 'a list', text: Array.from({ length: 400 }, (_, i) => `- item **${i}** of a list`) },
    { name: 'a table', text: ['| a | b |', '|--|--|', ...Array(400).fill('| one | two |')] },
    { name: 'code', text: ['```js', ...Array(800).fill('let x = 1;')] },
    { name: 'paragraphs', text: Array(300).fill('words of a paragraph\n') },
  ];
  for (const { name, text } of long) {
    it(`a piece changes the end of ${name} only`, async () => {
      const { chat, page, socket, answer } = await asked();
      socket.say(`${text.join('\n')}\n`);
      await socket.drawn();
      await answer.locator('.markdown[aria-busy=false]').waitFor();
      await answer.evaluate((element) => {
        const records: MutationRecord[] = [];
        new MutationObserver((more) => records.push(...more)).observe(element, {
          ...{ subtree: true, childList: true, characterData: true, attributes: true },
        });
        Object.assign(window, { records });
      });
      const pieces = { '- las': 'las', 't words': 'last words', ' | of |': 'of', ' all': 'all' };
      for (const [piece, seen] of Object.entries(pieces)) {
        socket.say(piece);
        await chat.shows(seen);
      }
      const changes = await page.evaluate(
        () => (window as unknown as { records: MutationRecord[] }).records.length,
      );
      expect(changes).toBeGreaterThan(0);
      expect(changes).toBeLessThan(60);
    });
  }

  it('nothing moves when a fence is closed', async () => {
    const { socket, answer } = await asked();
    socket.say('before\n\n```text\none\ntwo');
    const code = answer.locator('pre');
    await code.filter({ hasText: 'two' }).waitFor();
    expect(await code.locator('.cursor').count()).toBe(1);
    const height = () => answer.evaluate((element) => element.getBoundingClientRect().height);
    const before = await height();
    socket.say('\n```');
    await socket.drawn();
    expect(await height()).toBe(before);
  });

  it('a table, a formula and bold words are not seen as marks', async () => {
    const { page, socket, answer } = await asked();
    await answer.evaluate((element) => {
      const seen: string[] = [];
      new MutationObserver(() => seen.push(element.textContent ?? '')).observe(element, {
        ...{ subtree: true, childList: true, characterData: true },
      });
      Object.assign(window, { seen });
    });
    const text =
      'Words **in bold** here:\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n$$\nx^2\n$$\n\nthe end';
    for (const character of text) {
      socket.say(character);
      await socket.drawn();
    }
    const seen = await page.evaluate(() => (window as unknown as { seen: string[] }).seen);
    expect(seen.length).toBeGreaterThan(20);
    expect(seen.filter((state) => /[|]|\*\*|---/.test(state))).toEqual([]);
  });
});

describe('a formula', () => {
  it('that cannot be drawn is its source, with its dollars', async () => {
    const { answer } = await answered('good $x^2$ and bad $\\frac{1$ and\n\n$$\\nosuch{x}$$');
    await answer.locator('.katex').first().waitFor();
    const places = await answer.locator('[data-math]').allInnerTexts();
    expect(places.slice(1)).toEqual(['$\\frac{1$', '$$\\nosuch{x}$$']);
  });

  it('of chemistry is drawn, and what draws it comes with the first', async () => {
    const { chat, page, socket, answer } = await answered('$x^2$');
    await answer.locator('.katex').waitFor();
    const loaded = () =>
      page.evaluate(() =>
        performance.getEntriesByType('resource').some(({ name }) => /mhchem/.test(name)),
      );
    expect(await loaded()).toBe(false);
    await chat.say('chemistry');
    socket.say('$\\ce{2H2 + O2 -> 2H2O}$ and $\\pu{5 kg}$');
    socket.end();
    await chat.answers.last().locator('.katex').nth(1).waitFor();
    expect(await loaded()).toBe(true);
  });

  const environments = ['align', 'align*', 'gather', 'equation', 'aligned', 'cases', 'pmatrix'];
  for (const name of environments) {
    it(`may be an environment: ${name}`, async () => {
      const source = `\\begin{${name}}\na &= b \\\\\nc &= d\n\\end{${name}}`.replaceAll(
        '&',
        /equation|gather/.test(name) ? '' : '&',
      );
      const plain = name === 'equation' ? source.replace(' \\\\\nc = d', '') : source;
      const { answer } = await answered(
        `${plain}\n\nand\n\n$$${plain}$$\n\nin $${plain.replaceAll('\n', ' ')}$`,
      );
      await expect.poll(() => answer.locator('.katex').count()).toBe(3);
    });
  }

  it('is drawn in the head of a table', async () => {
    const { answer } = await answered('| $x^2$ | b |\n|--|--|\n| c | $y$ |');
    await answer.locator('th .katex').waitFor();
    await answer.locator('td .katex').waitFor();
  });

  it('stays on one line with the punctuation beside it', async () => {
    const text = '设函数（$f(x)=1$）为常数，则有$x=5$。又因为「$y=2$」成立，所以$z=3$，证毕。';
    const { page, answer, socket } = await asked();
    for (const character of text) socket.say(character);
    socket.end();
    await answer.locator('.katex').nth(3).waitFor();
    for (let width = 320; width <= 640; width += 8) {
      await page.setViewportSize({ width, height: 800 });
      const torn = await answer.locator('.katex-html').evaluateAll((formulas) =>
        formulas.flatMap((formula) => {
          const [place, whole] = [formula.closest('[data-math]')!, formula.closest('.unbroken')!];
          const { top, bottom } = formula.getBoundingClientRect();
          return [...whole.childNodes]
            .filter((node) => node !== place)
            .filter((node) => {
              const range = document.createRange();
              range.selectNode(node);
              const mark = range.getBoundingClientRect();
              return mark.bottom < top || mark.top > bottom;
            })
            .map((node) => node.textContent);
        }),
      );
      expect(torn, `${width} px`).toEqual([]);
    }
    expect(await answer.locator('.unbroken').count()).toBe(4);
  });

  it('is copied as its source', async () => {
    const permissions = ['clipboard-read', 'clipboard-write'];
    const { page, answer } = await answered('so with $t = 30$ it is\n\n$$x^2$$\n\nand **more**', {
      permissions,
    });
    await answer.locator('.katex').nth(1).waitFor();
    await answer.evaluate((element) => getSelection()!.selectAllChildren(element));
    await page.keyboard.press('Control+c');
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    expect(copied.trim().split(/\n+/)).toEqual(['so with $t = 30$ it is', '$$x^2$$', 'and more']);
  });

  it('is copied with nothing that cannot be selected, and as rich text', async () => {
    const permissions = ['clipboard-read', 'clipboard-write'];
    const { page, answer } = await answered(
      'with $t = 30$ **more**\n\n```python\nimport this\n```',
      { permissions },
    );
    await answer.locator('.katex').waitFor();
    await page.evaluate(() =>
      getSelection()!.selectAllChildren(document.querySelector('article.assistant')!),
    );
    await page.keyboard.press('Control+c');
    const copied = await page.evaluate(async () => {
      const [item] = await navigator.clipboard.read();
      const text = async (type: string) => (await item!.getType(type)).text();
      return { plain: await text('text/plain'), html: await text('text/html') };
    });
    const lines = copied.plain.trim().split(/\s*\n\s*/);
    expect(lines).toEqual(['with $t = 30$ more', 'import this']);
    expect(copied.html).toMatch(/<strong[^>]*>more<\/strong>/);
    expect(copied.html).toContain('import');
    expect(copied.html).not.toMatch(/>python<|<button|data-left-out|visually-hidden/);
    expect(await answer.locator('[data-left-out]').count()).toBe(0);
  });
});

describe('the direction of words', () => {
  it('is that of each block, and code always runs to the right', async () => {
    const { answer } = await answered(
      'Hello:\n\nمرحبا بالعالم. `x = 1`\n\n- بند\n- آخر\n\n```python\nfor i in range(3): # مثال\n```\n\n`ls` هو أمر',
    );
    const directions = await answer
      .locator('p, ul, pre, p code')
      .evaluateAll((elements) =>
        elements.map((e) => `${e.nodeName} ${getComputedStyle(e).direction}`),
      );
    expect(directions).toEqual([
      ...['P ltr', 'P rtl', 'CODE ltr', 'UL rtl', 'PRE ltr', 'P rtl', 'CODE ltr'],
    ]);
  });
});

describe('the title of an answer', () => {
  it('is no second title of the page to screen readers', async () => {
    const { answer } = await answered('# One\n\nwords\n\n## Two');
    expect(await answer.locator('h1').getAttribute('aria-level')).toBe('2');
    expect(await answer.locator('h2').getAttribute('aria-level')).toBe(null);
  });
});

describe('a list of numbers', () => {
  it('has room for them, however many there are', async () => {
    const items = Array.from({ length: 1_200 }, (_, index) => `${index + 1}. item`).join('\n');
    const { answer } = await answered(items);
    await answer.locator('.markdown[aria-busy=false]').waitFor();
    const list = answer.locator('ol').last();
    const room = await list.evaluate((e) => {
      const canvas = document.createElement('canvas').getContext('2d')!;
      canvas.font = getComputedStyle(e).font;
      return parseFloat(getComputedStyle(e).paddingLeft) - canvas.measureText('1200.').width;
    });
    expect(room).toBeGreaterThan(0);
  });
});

describe('a table', () => {
  it('of many Chinese columns has no column of single characters on a phone', async () => {
    const cells = Array(6).fill('很长的中文内容在这里').join(' | ');
    const { answer } = await answered(`| ${cells} |\n|${'--|'.repeat(6)}\n| ${cells} |`, {
      viewport: { width: 360, height: 740 },
    });
    const widths = await answer
      .locator('td')
      .evaluateAll((all) => all.map((cell) => cell.getBoundingClientRect().width));
    expect(Math.min(...widths)).toBeGreaterThan(60);
  });
});

describe('a list of tasks', () => {
  it('has checkboxes and no bullets', async () => {
    const { answer } = await answered('- [x] done\n- [ ] open\n- neither');
    const boxes = answer.getByRole('checkbox');
    expect(await boxes.count()).toBe(2);
    expect(await boxes.nth(0).isChecked()).toBe(true);
    expect(await boxes.nth(1).isChecked()).toBe(false);
    const bullets = await answer
      .locator('li')
      .evaluateAll((items) => items.map((item) => getComputedStyle(item).listStyleType));
    expect(bullets).toEqual(['none', 'none', 'disc']);
    expect((await answer.innerText()).split('\n').map((line) => line.trim())).toEqual([
      ...['done', 'open', 'neither'],
    ]);
  });
});

describe('code', () => {
  for (const language of [
    'Python3',
    '{.python}',
    'powershell',
    'vue',
    'TypeScript',
    'c++',
    'YAML',
  ]) {
    it(`is coloured: ${language}`, async () => {
      const code = '# x\n<a href="x">1</a>\nfunction f { return "text" }\nkey: 1';
      const { answer } = await answered(`\`\`\`${language}\n${code}\n\`\`\``);
      await answer.locator('[class^=hljs-]').first().waitFor();
    });
  }
});

describe('thoughts', () => {
  it('are folded, before the answer and while they are being written', async () => {
    const { chat, page, socket, answer } = await asked();
    socket.say('<think>\nLet me **see');
    await page.getByText('Thinking…').click();
    await page.locator('.thinking strong').filter({ hasText: 'see' }).waitFor();
    expect(await answer.innerText()).toBe('');
    socket.say('**.\n</think>\n\nThe answer');
    await chat.shows('The answer');
    await page.getByText(/^Thought for \d+ s$/).waitFor();
    socket.end();
    await chat.answered();
    expect(await chat.lastAnswer()).toBe('The answer');
    await page.reload();
    await page.getByText('Thought', { exact: true }).waitFor();
    expect(await chat.lastAnswer()).toBe('The answer');
  });

  it('whose beginning stood in the prompt are folded when their end comes', async () => {
    const { chat, page, socket } = await asked();
    socket.say('Let me see.');
    await chat.shows('Let me see.');
    socket.say('\n</think>\n\nThe answer');
    await chat.shows('The answer');
    expect(await chat.lastAnswer()).toBe('The answer');
    await page.getByText(/^Thought for/).waitFor();
  });
});

describe('a large answer', () => {
  it('never stands as more than 20 kB of text in one node, and is drawn in the end', async () => {
    const { chat, page, socket, answer } = await asked();
    await answer.evaluate((element) => {
      const sizes = [0];
      new MutationObserver((records) => {
        for (const { addedNodes } of records)
          for (const node of addedNodes) sizes.push(largest(node));
      }).observe(element, { subtree: true, childList: true });
      const largest = (node: Node): number => {
        const walker = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
        let most = node instanceof Text ? node.length : 0;
        while (walker.nextNode()) most = Math.max(most, (walker.currentNode as Text).length);
        return most;
      };
      Object.assign(window, { sizes });
    });
    const paragraph = 'Words of **a paragraph** in an answer that is long, 以及中文。\n\n';
    const oneLine = '没有换行的一段话，'.repeat(4_000);
    socket.say(`${paragraph.repeat(4_000)}${oneLine}\n\nthe end`);
    await answer.locator('.markdown[aria-busy=true]').waitFor();
    socket.end();
    await answer.locator('.markdown[aria-busy=false]').waitFor({ timeout: 60_000 });
    await chat.shows('the end');
    expect(await answer.locator('strong').count()).toBe(4_000);
    const sizes = await page.evaluate(() => (window as unknown as { sizes: number[] }).sizes);
    expect(Math.max(...sizes)).toBeGreaterThan(0);
    expect(Math.max(...sizes)).toBeLessThan(20_000);
  });
});

describe('code in one long line', () => {
  it('stays one line, and no node of it is large', async () => {
    const { chat, socket, answer } = await asked();
    const line = `{"a": "${'0123456789'.repeat(10_000)}"}`;
    socket.say(`\`\`\`json\n${line.slice(0, 30_000)}`);
    await answer.locator('code').waitFor();
    socket.end(line.slice(30_000), '\n```\n\nafter');
    await chat.answered();
    await chat.shows('after');
    const code = answer.locator('pre');
    const { text, height, nodes } = await code.evaluate((element) => {
      const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
      const sizes: number[] = [];
      while (walker.nextNode()) sizes.push((walker.currentNode as Text).length);
      getSelection()!.selectAllChildren(element);
      const selection = getSelection()!.toString();
      return { text: selection, height: element.clientHeight, nodes: sizes };
    });
    expect(text.trim()).toBe(line);
    expect(height).toBeLessThan(60);
    expect(Math.max(...nodes)).toBeLessThan(20_000);
  });
});

describe('the table of answers', () => {
  it('is drawn the same, one character at a time and whole', async () => {
    const table = readFileSync(join(import.meta.dirname, '../tests/answers.txt'), 'utf8');
    const inputs = table
      .split(/^%%\n/m)
      .map((text) => /^# .*\n([\s\S]*?)\n=>/.exec(text)?.[1] ?? '')
      .filter((text) => !/<details>|~~~/.test(text));
    const text = inputs.join('\n\nnext\n\n');
    const { chat, page, socket, answer } = await asked();
    for (const piece of text.match(/[\s\S]{1,3}/gu)!) socket.say(piece);
    socket.end();
    await chat.answered();
    const drawn = () =>
      answer.evaluate((element) => {
        const copy = element.cloneNode(true) as Element;
        // Drawn when they have been fetched, which is not what this is about.
        copy.querySelectorAll('[data-math], pre').forEach((part) => (part.textContent = ''));
        return copy.innerHTML.replace(/<!--[^>]*-->|/g, '').replace(/\n/g, '');
      });
    const streamed = await drawn();
    await page.reload();
    await chat.shows('npm i');
    expect(await drawn()).toBe(streamed);
  });
});
