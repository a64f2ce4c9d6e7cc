import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { BatchSize } from '../src/markdown/batch_size';
import { type Block, BlockCache } from '../src/markdown/blocks';
import { chaptersOf, sectionsOf } from '../src/markdown/sections';
import { GrowingSlices, slicesOf } from '../src/markdown/slices';

const PARAGRAPH = 'Words with **bold** ones and 中文。';

function drawn(blocks: readonly Block[]): unknown[] {
  return blocks.map(({ key: _, ...block }) => block);
}

/** How much is parsed when an answer that is there grows by a word. */
function costOfWord(text: string): number {
  const cache = new BlockCache();
  cache.update(text, false);
  const before = cache.parsedLength;
  cache.update(`${text} word`, false);
  return cache.parsedLength - before;
}

describe('a large answer', () => {
  const kinds: { name: string; text: string; longest: number }[] = [
    { name: 'paragraphs', text: `${PARAGRAPH}\n\n`.repeat(800) + 'last', longest: 100 },
    { name: 'a list', text: `- ${PARAGRAPH}\n`.repeat(800) + '- last', longest: 100 },
    { name: 'a table', text: `| a |\n|--|\n${'| b |\n'.repeat(3_000)}| last`, longest: 100 },
    { name: 'code', text: `\`\`\`js\n${'let x = 1;\n'.repeat(3_000)}last`, longest: 100 },
    { name: 'one paragraph', text: PARAGRAPH.repeat(3_000), longest: 12_000 },
  ];
  for (const { name, text, longest } of kinds) {
    it(`costs what its last block costs when a word comes: ${name}`, () => {
      expect(text.length).toBeGreaterThan(15_000);
      expect(costOfWord(text)).toBeLessThan(longest);
    });

    it(`is drawn and not shown as plain text: ${name}`, () => {
      const blocks = new BlockCache().update(text, true);
      expect(blocks.filter(({ kind }) => kind === 'text')).toEqual([]);
    });

    it(`is the same, whole and streamed: ${name}`, () => {
      const cache = new BlockCache();
      for (let end = 0; end < text.length; end += 997) cache.update(text.slice(0, end), false);
      expect(drawn(cache.update(text, true))).toEqual(drawn(new BlockCache().update(text, true)));
    });

    it(`can be parsed in batches: ${name}`, () => {
      const cache = new BlockCache();
      let batches = 0;
      let blocks = cache.update(text, true, 1_000);
      for (; cache.behind; batches += 1) blocks = cache.update(text, true, 1_000);
      expect(batches).toBeGreaterThan(0);
      expect(drawn(blocks)).toEqual(drawn(new BlockCache().update(text, true)));
    });
  }

  it('has no paragraph that is too long to be laid out, and loses none of its words', () => {
    const text = '没有换行的一段话，'.repeat(10_000);
    const blocks = new BlockCache().update(text, true);
    const words = blocks.map((block) =>
      block.kind === 'html' ? block.html.replace(/<\/?p>\n?/g, '') : '',
    );
    expect(Math.max(...words.map(({ length }) => length))).toBeLessThanOrEqual(10_000);
    expect(words.join('')).toBe(text);
  });

  const longCode = (mark: string, lines: number) =>
    Array.from({ length: lines }, (_, line) => `${mark}# line ${line} is *no* title`);
  const withCode: { name: string; text: string; lines: number }[] = [
    {
      name: 'a quote',
      text: ['> ```py', ...longCode('> ', 1_000), '> ```', '> after'].join('\n'),
      lines: 1_000,
    },
    {
      name: 'a quote with words before it',
      text: ['> # words', '> ~~~', ...longCode('> ', 1_000), '> ~~~', '', 'after'].join('\n'),
      lines: 1_000,
    },
    {
      name: 'a quote that the model never ended',
      text: ['> ```py', ...longCode('> ', 1_000), '', 'after'].join('\n'),
      lines: 1_000,
    },
    {
      name: 'a quote in an item',
      text: ['- > ```py', ...longCode('  > ', 6_000), '  > ```', '', 'after'].join('\n'),
      lines: 6_000,
    },
    {
      name: 'an item',
      text: ['1. words', '   ```py', ...longCode('   ', 6_000), '   ```', '2. after'].join('\n'),
      lines: 6_000,
    },
  ];
  for (const { name, text, lines } of withCode) {
    it(`is never cut within code: ${name}`, () => {
      const pieces = new BlockCache();
      for (let end = 0; end < text.length; end += 4_999) pieces.update(text.slice(0, end), false);
      for (const blocks of [pieces.update(text, true), new BlockCache().update(text, true)]) {
        const all = blocks.map((block) => {
          if (block.kind === 'pieces') return block.pieces.finished.join('');
          return block.kind === 'code' ? `<pre>${block.code.text}</pre>` : JSON.stringify(block);
        });
        const code = all.join('').match(/<pre[^]*?<\/pre>/g) ?? [];
        expect(code.join('').match(/# line \d+ is \*no\* title/g)?.length).toBe(lines);
        expect(all.join('').split('is *no* title').length - 1).toBe(lines);
        expect(all.join('')).toContain('after');
      }
    });
  }

  it('may hold long details, whose end comes late', () => {
    const text = `<details>\n<summary>More</summary>\n\n${`${PARAGRAPH}\n\n`.repeat(600)}</details>`;
    expect(text.length).toBeGreaterThan(15_000);
    const cache = new BlockCache();
    for (let end = 997; end < text.length; end += 997) {
      const [block, ...others] = cache.update(text.slice(0, end), false);
      expect(block).toMatchObject({ html: expect.stringMatching(/^<details><summary>More/) });
      expect(others).toEqual([]);
    }
    expect(drawn(cache.update(text, true))).toEqual(drawn(new BlockCache().update(text, true)));
  });

  it('goes on with markdown behind what the parser cannot bear', () => {
    const deep = `${'> '.repeat(8_000)}x\n\n**after**`;
    const blocks = new BlockCache().update(deep, true);
    expect(blocks[0]).toMatchObject({ kind: 'text' });
    expect(blocks.at(-1)).toMatchObject({ kind: 'html', html: '<p><strong>after</strong></p>\n' });
  });

  it('does not search to its end for every formula that begins', () => {
    // A hang is what this would find: 10,000 openers, each with the whole rest to look through.
    const text = '\\[ \\( $'.repeat(10_000);
    expect(new BlockCache().update(text, true).length).toBeGreaterThan(0);
  });
});

describe('memory', () => {
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  const used = () => {
    collectGarbage();
    return process.memoryUsage().heapUsed;
  };
  const part = `${PARAGRAPH.repeat(100)}\n\n`;

  const kinds: Record<string, () => { update(text: string): unknown }> = {
    blocks: () => {
      const cache = new BlockCache();
      return { update: (text) => cache.update(text, false) };
    },
    'slices of code': () => new GrowingSlices(),
  };
  for (const [name, make] of Object.entries(kinds))
    it(`is that of one copy of an answer, not one for each time that it has grown: ${name}`, () => {
      const kept = make();
      let text = '';
      const before = used();
      for (let count = 0; count < 300; count += 1) {
        text += part;
        kept.update(text);
      }
      // A character takes two bytes, and there are a few copies.
      expect(used() - before).toBeLessThan(text.length * 20);
      expect(kept.update(text)).toHaveProperty('length');
    });
});

describe('sections', () => {
  const block = (key: number): Block => ({ key, kind: 'html', html: String(key) });
  const manyBlocks = Array.from({ length: 600 }, (_, key) => block(key));
  const blocks = manyBlocks.slice(0, 200);

  it('hold all blocks in their order', () => {
    for (const count of [0, 1, 32, 33, 64, 65, 200]) {
      const sections = sectionsOf(blocks.slice(0, count), []);
      expect(sections.flatMap((section) => section.items)).toEqual(blocks.slice(0, count));
    }
  });

  it('stay the same objects while blocks are added behind them', () => {
    const before = sectionsOf(blocks.slice(0, 100), []);
    const grown = sectionsOf(blocks, before);
    expect(grown.slice(0, 3)).toEqual(before.slice(0, 3));
    for (const index of [0, 1, 2]) expect(grown[index]).toBe(before[index]);
  });

  it('never give a block to another section, also not the one that is being written', () => {
    let before = sectionsOf([], []);
    for (let count = 1; count <= 100; count += 1) {
      const last = block(count - 1);
      before = sectionsOf([...blocks.slice(0, count - 1), last], before);
      const place = before.findIndex((section) => section.items.includes(last));
      expect(place).toBe(Math.floor((count - 1) / 32));
    }
  });

  it('are in chapters, of which all but the last are full', () => {
    for (const count of [0, 1, 32, 33, 256, 257, 512, 513, 3_200]) {
      const blocks = Array.from({ length: count }, (_, key) => block(key));
      const sections = sectionsOf(blocks, []);
      const chapters = chaptersOf(sections, []);
      expect(chapters.flatMap((chapter) => chapter.items)).toEqual(sections);
      expect(chapters.length).toBe(Math.ceil(count / 256));
      const full = chapters.filter(({ isFull }) => isFull);
      expect(full).toEqual(chapters.slice(0, -1));
    }
  });

  it('are in the same chapters while blocks are added behind them', () => {
    let [sections, chapters] = [sectionsOf([], []), chaptersOf([], [])];
    for (let count = 1; count <= 600; count += 1) {
      const before = chapters;
      const last = block(count - 1);
      sections = sectionsOf([...manyBlocks.slice(0, count - 1), last], sections);
      chapters = chaptersOf(sections, before);
      const isFirstOfChapter = count % 256 === 1;
      const kept = isFirstOfChapter ? chapters.length - 2 : chapters.length - 1;
      for (let index = 0; index < kept; index += 1) expect(chapters[index]).toBe(before[index]);
    }
  });

  it('are made anew when the answer is another', () => {
    const before = sectionsOf(blocks, []);
    const others = blocks.map(({ key }) => block(key));
    expect(sectionsOf(others, before)[0]!.items[0]).toBe(others[0]);
  });
});

describe('slices of text', () => {
  const text = Array.from({ length: 3_000 }, (_, line) => `line ${line}\n`).join('');

  it('lose nothing', () => {
    expect(slicesOf(text).length).toBeGreaterThan(2);
    expect(slicesOf(text).join('')).toBe(text);
  });

  it('end with lines', () => {
    for (const slice of slicesOf(text)) expect(slice).toMatch(/^line.*\n$/s);
  });

  it('are short, with lines or without', () => {
    for (const long of [text, 'x'.repeat(100_000), '😀'.repeat(50_000)]) {
      const sizes = slicesOf(long).map(({ length }) => length);
      expect(Math.max(...sizes)).toBeLessThan(20_000);
    }
  });

  const joined = (slices: readonly (readonly string[])[]) =>
    slices.map((pieces) => pieces.join('')).join('\n');

  it('of code that grows are finished one after the other', () => {
    const slices = new GrowingSlices();
    let drawn: readonly (readonly string[])[] = [];
    for (let end = 0; end <= text.length; end += 333) {
      const before = drawn;
      drawn = slices.update(text.slice(0, end));
      expect(drawn.slice(0, Math.max(0, before.length - 1))).toEqual(before.slice(0, -1));
      expect(joined(drawn)).toBe(text.slice(0, end));
    }
    expect(drawn.length).toBeGreaterThan(2);
  });

  it('of code in one line are pieces of the line, which stay', () => {
    for (const long of ['x'.repeat(100_000), '😀'.repeat(50_000), `${'x'.repeat(99_999)}\n\nx`]) {
      const slices = new GrowingSlices();
      let drawn = slices.update('');
      for (let end = 0; end <= long.length + 333; end += 333) {
        const before = drawn;
        drawn = slices.update(long.slice(0, end));
        expect(drawn[0]!.slice(0, before[0]!.length - 1)).toEqual(before[0]!.slice(0, -1));
      }
      expect(joined(drawn)).toBe(long);
      expect(Math.max(...drawn.flat().map(({ length }) => length))).toBeLessThan(20_000);
      for (const piece of drawn.flat()) expect(piece).not.toMatch(/^[\udc00-\udfff]/);
    }
  });
});

describe('the size of a batch', () => {
  /** The size after many batches on a machine that draws this many characters in a millisecond. */
  const settled = (charactersPerMs: number) => {
    const size = new BatchSize(true);
    for (let batch = 0; batch < 40; batch += 1)
      size.took(size.characters / charactersPerMs, size.characters);
    return size.characters;
  };

  it('draws a usual answer at once when it is finished', () => {
    expect(new BatchSize(false).characters).toBeGreaterThan(8_000);
  });

  it('is small for what comes in a burst', () => {
    expect(new BatchSize(true).characters).toBeLessThan(8_000);
    const size = new BatchSize(false);
    size.took(20, 10);
    expect(size.characters).toBeLessThan(8_000);
  });

  it('follows what the machine can do', () => {
    expect(settled(1_000)).toBe(16_000);
    expect(settled(250)).toBe(4_000);
  });

  it('learns from a piece that was shorter than a batch may be', () => {
    const size = new BatchSize(true);
    for (let piece = 0; piece < 10; piece += 1) size.took(16, 3_000);
    expect(size.characters).toBe(3_000);
  });

  it('learns nothing from a few words', () => {
    const size = new BatchSize(true);
    size.took(1, 5);
    const { characters } = size;
    for (let piece = 0; piece < 10; piece += 1) size.took(24, 5);
    expect(size.characters).toBe(characters);
  });

  it('has limits, however fast or slow the machine is', () => {
    expect([settled(0.001), settled(1e9)]).toEqual([2_000, 32_000]);
  });
});
