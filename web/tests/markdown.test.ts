import { describe, expect, it } from 'vitest';
import { type Block, BlockCache } from '../src/markdown/blocks';
import { lex, toHtml } from '../src/markdown/html';
import { languageName } from '../src/markdown/language_names';

const DOCUMENT = [
  '# Title',
  'A paragraph with **bold**, *italic*, `code` and a [link](https://example.org).\nSecond line.',
  '- one\n- two\n  - nested\n\n  still two\n- three',
  '1. first\n2. second\n\n   ```js\n   let x = 1;\n   ```\n3. third',
  '```python\ndef f():\n\n    return "```"\n```',
  '~~~\ntilde\n~~~',
  '> quote\n> more\n>\n> end',
  '| a | b |\n|---|--:|\n| 1 | 2 |\n| 3 | 4 |',
  '$$\nx = \\frac{1}{2}\n$$',
  'Inline $a_1 * b_1$ and \\(c\\) and $5 or $10.',
  'Setext\n======',
  '---',
  '<div onclick="x()">raw</div>',
  '- [ ] open\n- [x] done',
  '中文段落，**加粗**。🎉',
].join('\n\n');

/** What is drawn in the end, by kind. */
function drawn(blocks: readonly Block[]): unknown[] {
  return blocks.map(({ key: _, ...block }) => block);
}

function stream(
  text: string,
  pieces: Iterable<string>,
): { blocks: readonly Block[]; cache: BlockCache } {
  const cache = new BlockCache();
  let soFar = '';
  for (const piece of pieces) cache.update((soFar += piece), false);
  expect(soFar).toBe(text);
  return { blocks: cache.update(text, true), cache };
}

describe('BlockCache', () => {
  it('draws a streamed answer as it draws a whole one', () => {
    const whole = new BlockCache().update(DOCUMENT, true);
    expect(drawn(stream(DOCUMENT, DOCUMENT).blocks)).toEqual(drawn(whole));
    expect(whole.length).toBe(lex(DOCUMENT).filter(({ type }) => type !== 'space').length);
  });

  it('keeps its place where lines end as on Windows', () => {
    const text = DOCUMENT.replaceAll('\n', '\r\n');
    expect(drawn(stream(text, text).blocks)).toEqual(
      drawn(new BlockCache().update(DOCUMENT, true)),
    );
  });

  it('returns finished blocks as the same objects', () => {
    const cache = new BlockCache();
    const before = cache.update('one\n\ntwo\n\nthr', false);
    const after = cache.update('one\n\ntwo\n\nthree\n\nfour', false);
    expect(after[0]).toBe(before[0]);
    expect(after[1]).toBe(before[1]);
    expect(after).toHaveLength(4);
  });

  it('never parses a finished block again', () => {
    const paragraphs = Array.from({ length: 300 }, (_, i) => `Paragraph ${i} with **bold** words.`);
    const text = paragraphs.join('\n\n');
    const { cache } = stream(text, text.match(/[\s\S]{1,10}/g)!);
    // Each paragraph is parsed a few times while it grows: the total is linear in the text.
    expect(cache.parsedLength).toBeLessThan(text.length * 12);
  });

  it('closes what is still open while it streams', () => {
    const [block] = new BlockCache().update('some **bold wor', false);
    expect(block).toMatchObject({
      kind: 'html',
      html: expect.stringContaining('<strong>bold wor</strong>'),
    });
  });

  it('shows half a link as its text, and no address', () => {
    const [block] = new BlockCache().update('see [the page](https://exam', false);
    expect(block).toMatchObject({ kind: 'html' });
    expect((block as { html: string }).html).not.toContain('href');
  });

  it('shows no half of the second line of a table', () => {
    const text = 'name | size | x\n:--- | ---: | -\na | 1 | 2';
    const cache = new BlockCache();
    for (let end = 1; end <= text.length; end += 1) {
      const blocks = cache.update(text.slice(0, end), false);
      expect(JSON.stringify(blocks), text.slice(0, end)).not.toMatch(/-{2}|: |<h/);
    }
  });

  it('knows when a fence is closed', () => {
    const cache = new BlockCache();
    const code = (text: string, ended = false) => cache.update(text, ended)[0] as { code: unknown };
    expect(code('```js\nlet a').code).toEqual({ language: 'js', text: 'let a', closed: false });
    expect(code('```js\nlet a\n```').code).toEqual({ language: 'js', text: 'let a', closed: true });
  });

  it('takes an unclosed fence for closed when the answer ends', () => {
    const blocks = new BlockCache().update('```\nx', true);
    expect(blocks[0]).toMatchObject({ kind: 'code', code: { closed: true } });
  });

  it('starts anew when the text is another', () => {
    const cache = new BlockCache();
    cache.update('one\n\ntwo', false);
    expect(drawn(cache.update('other', true))).toEqual(
      drawn(new BlockCache().update('other', true)),
    );
  });

  describe('and definitions of links that come late', () => {
    const paragraphs = Array.from({ length: 400 }, (_, i) => `Paragraph ${i} with **bold** words.`);
    const late = [...paragraphs, 'see [the page][x]', '- see [x]', ...paragraphs];
    const definition = '\n\n[x]: https://example.org/x\n';
    const LINK = '<a href="https://example.org/x">';

    /** The blocks after each batch from the end of an answer on, and those before it. */
    function atTheEnd(text: string) {
      const cache = new BlockCache();
      let before = cache.update(text, false);
      while (cache.behind) before = cache.update(text, false);
      const states = [cache.update(text, true, 2_000)];
      while (cache.behind) states.push(cache.update(text, true, 2_000));
      return { before, states, after: states.at(-1)!, cache };
    }

    it('parses nothing again if no text refers to them', () => {
      const text = paragraphs.join('\n\n') + definition;
      const { before, after, cache } = atTheEnd(text);
      expect(cache.parsedLength).toBeLessThan(text.length * 2);
      after.slice(0, -1).forEach((block, index) => expect(block).toBe(before[index]));
    });

    it('makes links and never draws fewer blocks, in batches', () => {
      const { before, states, after } = atTheEnd(late.join('\n\n') + definition);
      expect(states.length).toBeGreaterThan(5);
      for (const state of states) expect(state.length).toBeGreaterThanOrEqual(before.length);
      expect(after[400]).toMatchObject({ html: `<p>see ${LINK}the page</a></p>\n` });
      expect(after[401]).toMatchObject({ pieces: { finished: [`<li>see ${LINK}x</a></li>`] } });
      expect(drawn(after)).toEqual(
        drawn(new BlockCache().update(late.join('\n\n') + definition, true)),
      );
    });

    it('keeps unchanged blocks as the same objects', () => {
      const { before, after } = atTheEnd(late.join('\n\n') + definition);
      const changed = after.flatMap((block, index) => (block === before[index] ? [] : [index]));
      // The last paragraph was still open.
      expect(changed).toEqual([400, 401, before.length - 1]);
    });

    it('never takes half an address for a whole one', () => {
      const text = 'see [x]\n\nand [y]\n\nmore\n\n[x]: https://example.org/x\n[y]: https://y.org';
      for (let end = 1; end < text.length; end += 1) {
        const cache = new BlockCache();
        cache.update(text.slice(0, end), false);
        const after = JSON.stringify(cache.update(text, true));
        expect(after, text.slice(0, end)).toContain('https://example.org/x');
        expect(after, text.slice(0, end)).toContain('https://y.org');
      }
    });

    it('knows them in what is being written', () => {
      const text = '[x]: https://example.org/x\n\n- one\n- see [x] and';
      const [list] = new BlockCache().update(text, false);
      expect(list).toMatchObject({ pieces: { open: [`<li>see ${LINK}x</a> and</li>`] } });
    });

    it('takes any word for a label', () => {
      for (const label of ['constructor', 'valueOf', 'toString']) {
        const text = `see [${label}]\n\nmore\n\n[${label}]: https://example.org/x\n`;
        for (const pieces of [[text], [...text]]) {
          const [first] = stream(text, pieces).blocks;
          expect(first, label).toMatchObject({ html: `<p>see ${LINK}${label}</a></p>\n` });
        }
      }
    });
  });

  it('shows text that is too much for the parser as it is', () => {
    const deep = '- '.repeat(12_000);
    expect(new BlockCache().update(deep, true)).toMatchObject([{ kind: 'text' }]);
  });

  it('loses no text of random documents, streamed or whole', () => {
    const parts = [
      '- a',
      '\n',
      '\n\n',
      '  ',
      '```',
      '$$',
      '> ',
      '| a |\n|---|',
      '**',
      '[x](',
      '<b',
      '1. ',
      '#',
      ' w',
      '`',
      '===',
    ];
    let seed = 42;
    const random = (below: number) => (seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31) % below;
    for (let round = 0; round < 300; round += 1) {
      const pieces = Array.from({ length: 30 }, () => parts[random(parts.length)]!);
      const text = pieces.join('');
      expect(() => stream(text, pieces)).not.toThrow();
      // Structure may differ where markdown looks back; what was said may not.
      expect(visible(stream(text, pieces).blocks), text).toBe(
        visible(new BlockCache().update(text, true)),
      );
    }
  });
});

/** The letters a reader sees, without markup. */
function visible(blocks: readonly Block[]): string {
  const text = blocks.map((block) => {
    if (block.kind === 'html') return letters(block.html);
    if (block.kind === 'pieces')
      return [...block.pieces.finished, ...block.pieces.open].map(letters);
    return block.kind === 'code' ? block.code.text : block.text;
  });
  return text.flat().join('').replace(/[^aw]/g, '');
}

function letters(html: string): string {
  return html.replace(/<[^>]*>/g, '').replace(/&#?\w+;/g, '');
}

describe('toHtml', () => {
  const html = (text: string) => toHtml(lex(text));
  const cases: { text: string; has?: string; hasNot?: string }[] = [
    { text: '<img src=x onerror=alert(1)>', hasNot: '<img' },
    { text: 'a <script>alert(1)</script> b', hasNot: '<script' },
    {
      text: '![cat](https://example.org/c.png)',
      has: 'cat (https://example.org/c.png)</a>',
      hasNot: '<img',
    },
    { text: '![](https://example.org/c.png)', has: '>https://example.org/c.png</a>' },
    { text: '![x](javascript:alert(1))', hasNot: 'href' },
    { text: '[x](javascript:alert(1))', has: '<p>x</p>' },
    { text: '[x](data:text/html,hi)', hasNot: 'href' },
    { text: '[x](//example.org)', hasNot: 'href' },
    { text: '[x](https://example.org "ti\\"tle")', has: '<a href="https://example.org">x</a>' },
    { text: 'line one\nline two', has: '<br>' },
    { text: '$a<b$', has: '<span data-math="inline">a&#60;b</span>' },
    { text: '$$\na\n$$', has: '<div data-math="display">a</div>' },
    { text: '\\[ a \\]', has: '<div data-math="display">a</div>' },
    { text: 'from $5 to $10', hasNot: 'data-math' },
    { text: '`$a$`', hasNot: 'data-math' },
    { text: '- [x] done', has: '☑' },
  ];
  for (const { text, has, hasNot } of cases) {
    it(text, () => {
      if (has !== undefined) expect(html(text)).toContain(has);
      if (hasNot !== undefined) expect(html(text)).not.toContain(hasNot);
    });
  }

  it('takes only names for names of languages', () => {
    expect(languageName('python title="x"')).toBe('python');
    expect(languageName('c++')).toBe('c++');
    expect(languageName('{.python .numberLines}')).toBe('python');
    expect(languageName('js{1,3}')).toBe('js');
    expect(languageName('Python3')).toBe('Python3');
    expect(languageName('"><script>')).toBe('');
    expect(languageName(undefined)).toBe('');
  });
});
