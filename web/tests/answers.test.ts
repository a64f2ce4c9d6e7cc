/**
 * What answers look like: `answers.txt` holds for each case its name, the markdown and, behind
 * `=>`, what is drawn of it. Blocks of code stand there as `<code-block>`.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Block, BlockCache } from '../src/markdown/blocks';

interface Case {
  readonly name: string;
  readonly markdown: string;
  readonly drawn: string;
}

const CASES = readFileSync(join(import.meta.dirname, 'answers.txt'), 'utf8')
  .split(/^%%\n/m)
  .filter((text) => text.trim() !== '')
  .map(readCase);

function readCase(text: string): Case {
  const [, name, markdown, drawn] = /^# (.*)\n([\s\S]*?)\n=>\n([\s\S]*?)\n$/.exec(text) ?? [];
  if (name === undefined) throw new Error(`not a case: ${text}`);
  return { name, markdown: markdown!, drawn: drawn! };
}

/** The blocks as one text; line ends between and within them mean nothing. */
function asText(blocks: readonly Block[]): string {
  return blocks.map(blockText).join('\n');
}

function blockText(block: Block): string {
  if (block.kind === 'html') return block.html.replace(/\n(?=<\/?(?!code|br)|$)/g, '');
  if (block.kind === 'text') return `<plain>${block.text}</plain>`;
  if (block.kind === 'code') {
    const { language, text } = block.code;
    return `<code-block data-language="${language}">${text}</code-block>`;
  }
  const { shell, finished, count, open } = block.pieces;
  const pieces = [...finished.slice(0, count), ...open].join('').replace(/\n(?=<)/g, '');
  return `${shell.open}${pieces}${shell.close}`;
}

function whole(markdown: string): string {
  return asText(new BlockCache().update(markdown, true));
}

/** What is drawn after each of `pieces`, and at last when the answer has ended. */
function states(pieces: readonly string[]): string[] {
  const cache = new BlockCache();
  let text = '';
  const drawn = pieces.map((piece) => asText(cache.update((text += piece), false)));
  return [...drawn, asText(cache.update(text, true))];
}

const TAG = /<\/?([a-z][a-z\d-]*)((?: [a-z-]+="[^"<>]*")*)>/g;
const TAGS = new Set(
  (
    'p br hr strong em del code pre blockquote ul ol li h1 h2 h3 h4 h5 h6 a span div table thead ' +
    'tbody tr th td sub sup kbd mark u s details summary code-block plain'
  ).split(' '),
);
const ATTRIBUTE = / (?:start="\d+"|href="(?:https?:\/\/|mailto:)[^"]*"|data-[a-z]+="[^"]*")/g;

/** Everything in a text that is no tag of an answer with no more than its own attributes. */
function strangers(html: string): string[] {
  const found: string[] = [];
  const outside = html
    .replace(/<code-block[\s\S]*?<\/code-block>/g, '')
    .replace(TAG, (tag, name: string, attributes: string) => {
      if (!TAGS.has(name) || attributes.replace(ATTRIBUTE, '') !== '') found.push(tag);
      return '';
    });
  return [...found, ...(outside.match(/[<>]/g) ?? [])];
}

/** Marks that a reader must not see for a moment when they are not seen in the end. */
const MARKS = [
  '**',
  '~~',
  '$$',
  '`',
  '| ',
  '|-',
  '[^',
  '\\begin',
  '\\(',
  '\\[',
  '&lt;',
  '- [',
  '# ',
];

function marksIn(html: string): string[] {
  const text = html.replace(/<[^>]*>/g, '');
  return MARKS.filter((mark) => text.includes(mark));
}

/** `make test-long` makes more of them. */
const MIXTURES = Number(process.env.BANTER_MIXTURES ?? 600);
/** Signs that change what the text around them means. */
const SIGNS = ['|', '$', '`', '*', '\n', ' ', '~', '\\', '$$', '| $|x|$ |', '\n|', '-', '#', '>'];

type Random = (count: number) => number;

function generator(seed: number): Random {
  let state = seed;
  return (count) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % Math.max(1, count);
  };
}

/** A text of up to three cases, or parts of them, some with a sign put in or indented. */
function mixture(random: Random): string {
  const parts = Array.from({ length: 1 + random(3) }, () => {
    const { markdown } = CASES[random(CASES.length)]!;
    const at = random(markdown.length);
    const spoiled = [
      markdown,
      markdown.slice(at),
      markdown.slice(0, at + 1),
      markdown.slice(0, at) + SIGNS[random(SIGNS.length)] + markdown.slice(at),
      markdown.replaceAll(/^/gm, '  '),
    ];
    return spoiled[random(spoiled.length)]! + ['\n\n', '\n', '', ' '][random(4)];
  });
  return parts.join('');
}

/** White space at the end of a block means nothing, and so does a block of nothing else. */
function withoutWhiteSpace(html: string): string {
  return html
    .replace(/\s+(?=<\/p>)/g, '')
    .replace(/&lt;/g, '&#60;')
    .replace(/&gt;/g, '&#62;')
    .replace(/<p><\/p>|\n/g, '')
    .trim();
}

/** A table without outer bars begins like a sentence, HTML in general like a comparison. */
const SHOWS_MARKS = ['a table without outer bars', 'other tags are text'];

describe('an answer', () => {
  it('is tried in many ways, half of them Chinese, Japanese or Korean', () => {
    const isCjk = ({ markdown }: Case) =>
      /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Hangul}]/u.test(markdown);
    expect(CASES.length).toBeGreaterThanOrEqual(120);
    expect(CASES.filter(isCjk).length).toBeGreaterThanOrEqual(60);
    expect(new Set(CASES.map(({ name }) => name)).size).toBe(CASES.length);
  });

  for (const { name, markdown, drawn } of CASES) {
    it(`is drawn right, whole and streamed: ${name}`, () => {
      expect(whole(markdown)).toBe(drawn);
      const streamed = states([...markdown]);
      expect(streamed.at(-1), 'one character at a time').toBe(drawn);
      const halves = [markdown.slice(0, markdown.length / 2), markdown.slice(markdown.length / 2)];
      expect(states(halves).at(-1), 'in two pieces').toBe(drawn);
      expect(streamed.flatMap(strangers), 'what is no tag of ours').toEqual([]);
      if (SHOWS_MARKS.includes(name)) return;
      const marks = marksIn(drawn);
      const early = streamed.filter((state) =>
        marksIn(state).some((mark) => !marks.includes(mark)),
      );
      expect(early, 'marks that are seen for a moment').toEqual([]);
    });
  }

  it('is the same when all of these come in one', () => {
    const all = CASES.map(({ markdown }) => markdown).filter((text) => !/<details>|~~~/.test(text));
    const document = all.join('\n\nnext\n\n');
    const pieces = document.match(/[\s\S]{1,7}/g)!;
    expect(states(pieces).at(-1)).toBe(whole(document));
  });

  it(
    'is the same streamed and whole, of whatever parts it is made',
    () => {
      const random = generator(1);
      for (let count = 0; count < MIXTURES; count += 1) {
        const markdown = mixture(random);
        const pieces = [...markdown.matchAll(/[\s\S]{1,4}/g)].map(([piece]) => piece);
        const drawn = states(random(2) ? pieces : [...markdown]).at(-1)!;
        expect(withoutWhiteSpace(drawn), JSON.stringify(markdown)).toBe(
          withoutWhiteSpace(whole(markdown)),
        );
      }
    },
    60_000 + MIXTURES * 50,
  );

  it('is the same whatever ends its lines', () => {
    for (const { markdown, drawn } of CASES) {
      expect(states([...markdown.replaceAll('\n', '\r\n')]).at(-1)).toBe(drawn);
    }
  });
});
