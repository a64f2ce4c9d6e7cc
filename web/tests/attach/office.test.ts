import { readFileSync } from 'node:fs';
import { join as joinPath } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Limits, Refused, type Reason } from '../../src/attach/attachment';
import { readOffice } from '../../src/attach/office/office';
import { dateText } from '../../src/attach/office/dates';
import { officeOf, sheetOf, wordOf, zipOf } from './office_files';

const LIMITS: Limits = { fileBytes: 1_000_000, textBytes: 10_000, unpackedBytes: 1_000_000 };

const p = (text: string, properties = ''): string =>
  `<w:p><w:pPr>${properties}</w:pPr><w:r><w:t>${text}</w:t></w:r></w:p>`;

async function textOf(bytes: Uint8Array): Promise<string> {
  return (await readOffice(bytes, LIMITS)).text;
}

async function reasonOf(bytes: Uint8Array): Promise<Reason> {
  try {
    const { text } = await readOffice(bytes, LIMITS);
    throw new Error(`read: ${text.slice(0, 100)}`);
  } catch (error) {
    if (error instanceof Refused) return error.reason;
    throw error;
  }
}

describe('files that programs wrote', () => {
  const fixture = (name: string): Promise<string> =>
    textOf(new Uint8Array(readFileSync(joinPath(import.meta.dirname, 'fixtures', name))));

  it('a Word document', async () => {
    expect(await fixture('minutes.docx')).toBe(
      [
        '# 会议纪要',
        '# 一、预算',
        '讨论了明年的预算，差旅费减少 10%。',
        '- 下周三之前提交方案',
        '- Draft the plan',
        '项目\t金额\t备注',
        '差旅\t1200',
        'Name:\tLi Hua',
        'Second line',
        '## Next',
        'R&D <tags> "quotes"',
      ].join('\n'),
    );
  });

  it('a workbook, without its hidden sheet', async () => {
    expect(await fixture('costs.xlsx')).toBe(
      [
        '# 开支',
        '日期\t项目\t金额\t已付',
        '2026-12-01\t差旅\t1200.5\tTRUE',
        '2026-12-02 08:30:00\t办公 用品\t0.3\tFALSE',
        '\t\t\t\t\tfar',
        '0.15\t08:30:00\t1.5',
        '',
        '# Second & last',
        '\tx',
      ].join('\n'),
    );
  });

  it('slides, without the notes', async () => {
    expect(await fixture('summary.pptx')).toBe(
      '# Slide 1\n季度总结\n第一点\n第二点\n\n# Slide 2\nFigures\nQ1\tQ2\n10\t12',
    );
  });
});

describe('Word', () => {
  const STYLES = `<w:styles xmlns:w="w">
    <w:style w:styleId="1"><w:name w:val="heading 1"/></w:style>
    <w:style w:styleId="a5"><w:name w:val="Own"/><w:pPr><w:outlineLvl w:val="2"/></w:pPr></w:style>
    <w:style w:styleId="a6"><w:name w:val="Points"/><w:pPr><w:numPr><w:numId w:val="3"/></w:numPr></w:pPr></w:style>
  </w:styles>`;
  const NOTES = `<w:footnotes xmlns:w="w">
    <w:footnote w:type="separator" w:id="-1">${p('no')}</w:footnote>
    <w:footnote w:id="2">${p('Source')}${p('of it')}</w:footnote></w:footnotes>`;
  const run = (inner: string): string => `<w:p><w:r>${inner}</w:r></w:p>`;
  const list = (level: number): string =>
    `<w:numPr><w:ilvl w:val="${level}"/><w:numId w:val="1"/></w:numPr>`;
  const cases: [string, string, string][] = [
    ['paragraphs', p('a') + p('b'), 'a\nb'],
    ['an empty paragraph between others', p('a') + p('') + p('') + p('b'), 'a\n\nb'],
    ['heading styles by name', p('a', '<w:pStyle w:val="1"/>'), '# a'],
    ['styles with an outline level', p('a', '<w:pStyle w:val="a5"/>'), '### a'],
    ['outline levels of a paragraph', p('a', '<w:outlineLvl w:val="1"/>'), '## a'],
    ['body text with an outline level', p('a', '<w:outlineLvl w:val="9"/>'), 'a'],
    ['list items', p('a', list(0)) + p('b', list(1)), '- a\n  - b'],
    ['list styles', p('a', '<w:pStyle w:val="a6"/>'), '- a'],
    ['what has been taken out of a list', p('a', '<w:numId w:val="0"/>'), 'a'],
    ['hostile list levels', p('a', '<w:ilvl w:val="1e9"/><w:numId w:val="1"/>'), '- a'],
    ['negative list levels', p('a', '<w:ilvl w:val="-5"/><w:numId w:val="1"/>'), '- a'],
    ['tabs and breaks', run('<w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t>'), 'a\tb\nc'],
    ['tab stops', p('a', '<w:tabs><w:tab w:val="left" w:pos="1"/></w:tabs>'), 'a'],
    ['entities', p('&lt;a&gt; &amp; &#x4e2d;&#65;&quot;'), '<a> & 中A"'],
    ['CDATA', p('<![CDATA[<b>]]>'), '<b>'],
    ['deleted text', run('<w:t>a</w:t>') + '<w:del><w:r><w:t>x</w:t></w:r></w:del>', 'a'],
    ['moved text', `<w:moveFrom>${p('x')}</w:moveFrom>${p('a')}`, 'a'],
    ['fields', run('<w:instrText>PAGE</w:instrText><w:t>7</w:t>'), '7'],
    ['comments and instructions', `<!-- <w:p> -->${p('a')}<?x?>`, 'a'],
    ['text boxes, once', `<w:p><mc:Choice>${p('box')}</mc:Choice><mc:Fallback>${p('box')}</mc:Fallback><w:r><w:t>a</w:t></w:r></w:p>`, 'box\na'],
    ['tables', `<w:tbl><w:tr><w:tc>${p('a')}${p('b')}</w:tc><w:tc>${p('c')}</w:tc></w:tr></w:tbl>`, 'a b\tc'],
    ['tables in tables', `<w:tbl><w:tr><w:tc><w:tbl><w:tr><w:tc>${p('a')}</w:tc><w:tc>${p('b')}</w:tc></w:tr></w:tbl></w:tc><w:tc>${p('c')}</w:tc></w:tr></w:tbl>`, 'a b\tc'],
    ['footnotes', run('<w:t>a</w:t><w:footnoteReference w:id="2"/>'), 'a[^2]'],
    ['other prefixes', '<p><r><t>a</t></r></p>', 'a'],
  ]; // prettier-ignore
  for (const [name, body, expected] of cases) {
    it(name, async () => {
      const bytes = wordOf(body, { styles: STYLES, footnotes: NOTES });
      expect(await textOf(bytes)).toBe(`${expected}\n\n[^2]: Source of it`);
    });
  }

  it('needs neither styles nor notes', async () => expect(await textOf(wordOf(p('a')))).toBe('a'));
});

describe('workbook', () => {
  const cell = (inner: string, attributes = ''): string =>
    `<row><c ${attributes}>${inner}</c></row>`;
  const others = {
    sharedStrings:
      '<sst><si><t>zero</t></si><si><r><t>on</t></r><r><t>e</t></r><rPh><t>x</t></rPh></si></sst>',
    styles: `<styleSheet><numFmts>
        <numFmt numFmtId="164" formatCode="yyyy&quot;年&quot;m&quot;月&quot;"/>
        <numFmt numFmtId="165" formatCode="[Magenta]0.0&quot;days&quot;"/>
        <numFmt numFmtId="166" formatCode="[hh]:mm"/></numFmts>
      <cellStyleXfs><xf numFmtId="14"/></cellStyleXfs>
      <cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="164"/><xf numFmtId="165"/><xf numFmtId="166"/><xf numFmtId="31"/></cellXfs></styleSheet>`,
  };
  const cases: [string, string, string][] = [
    ['numbers', cell('<v>1.50</v>'), '1.5'],
    ['numbers as Excel shows them', cell('<v>0.30000000000000004</v>'), '0.3'],
    ['shared texts', cell('<v>0</v>', 't="s"'), 'zero'],
    ['shared texts of several runs', cell('<v>1</v>', 't="s"'), 'one'],
    ['a shared text that is missing', cell('<v>7</v>', 't="s"') + cell('<v>1</v>'), '1'],
    ['texts of their own', cell('<is><t>a\nb</t></is>', 't="inlineStr"'), 'a b'],
    ['results of formulas', cell('<f>A1&amp;"x"</f><v>ax</v>', 't="str"'), 'ax'],
    ['booleans', cell('<v>1</v>', 't="b"'), 'TRUE'],
    ['errors', cell('<v>#DIV/0!</v>', 't="e"'), '#DIV/0!'],
    ['dates', cell('<v>46357</v>', 's="1"'), '2026-12-01'],
    ['Chinese dates', cell('<v>46357</v>', 's="2"'), '2026-12-01'],
    ['East Asian built-in dates', cell('<v>46357</v>', 's="5"'), '2026-12-01'],
    ['words in a format that is no date', cell('<v>3</v>', 's="3"'), '3'],
    ['times', cell('<v>0.5</v>', 's="4"'), '12:00:00'],
    ['a date that is none', cell('<v>-1</v>', 's="1"'), '-1'],
    ['gaps', '<row><c r="C1"><v>1</v></c><c r="E1"><v>2</v></c></row>', '\t\t1\t\t2'],
    ['empty rows', `${cell('')}${cell('')}${cell('<v>1</v>')}`, '1'],
  ];
  for (const [name, rows, expected] of cases) {
    it(name, async () => expect(await textOf(sheetOf(rows, others))).toBe(`# S\n${expected}`));
  }

  it('has no text if its cells have none', async () => expect(await textOf(sheetOf(''))).toBe(''));

  it('knows both ways of counting days', () => {
    expect(dateText(1, false)).toBe('1900-01-01');
    expect(dateText(59, false)).toBe('1900-02-28');
    expect(dateText(61, false)).toBe('1900-03-01');
    expect(dateText(0, true)).toBe('00:00:00');
    expect(dateText(1, true)).toBe('1904-01-02');
    expect(dateText(2_958_465, false)).toBe('9999-12-31');
    expect(dateText(2_958_466, false)).toBeNull();
    expect(dateText(NaN, false)).toBeNull();
  });
});

describe('refused', () => {
  const damaged = (expected: 'word' | 'sheet' | 'zip'): Reason => ({ reason: 'damaged', expected });
  const unpacksTooLarge: Reason = { reason: 'unpacksTooLarge', limitBytes: LIMITS.unpackedBytes };
  const whole = wordOf(p('text'));
  const bomb = p('a'.repeat(1_100_000));
  const half = p('a'.repeat(600_000));
  const deep = '<w:a>'.repeat(600) + '</w:a>'.repeat(600);
  const shared = { sharedStrings: `<sst><si><t>${'long '.repeat(1000)}</t></si></sst>` };
  const cases: [string, Uint8Array, Reason][] = [
    ['a zip bomb', wordOf(bomb), unpacksTooLarge],
    ['a bomb in two parts', wordOf(half, { styles: half }), unpacksTooLarge],
    ['a text in many cells', sheetOf('<row><c t="s"><v>0</v></c></row>'.repeat(100), shared), { reason: 'tooMuchText', limitBytes: LIMITS.textBytes }],
    ['cells far to the right', sheetOf('<row><c r="XFD1"><v>1</v></c></row>'.repeat(100)), { reason: 'tooMuchText', limitBytes: LIMITS.textBytes }],
    ['an element that does not end', wordOf('<w:p>'), damaged('word')],
    ['elements that cross', wordOf('<w:p><w:r></w:p></w:r>'), damaged('word')],
    ['an entity that nobody declared', wordOf(p('&x;')), damaged('word')],
    ['a bare ampersand', wordOf(p('a & b')), damaged('word')],
    ['NUL as an entity', wordOf(p('&#0;')), damaged('word')],
    ['half of a surrogate pair', wordOf(p('&#xd800;')), damaged('word')],
    ['a document type', officeOf('word/document.xml', '<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'), damaged('word')],
    ['too many levels', wordOf(deep), damaged('word')],
    ['two roots', officeOf('word/document.xml', '<a/><b/>'), damaged('word')],
    ['an empty part', officeOf('word/document.xml', ''), damaged('word')],
    ['a sheet that is malformed', sheetOf('<row>'), damaged('sheet')],
    ['a part that is missing', zipOf([{ name: '_rels/.rels', content: '<R><Relationship Type="officeDocument" Target="word/x.xml"/></R>' }]), damaged('word')],
    ['an encrypted entry', zipOf([{ name: '_rels/.rels', content: 'x', isEncrypted: true }]), { reason: 'locked' }],
    ['an unknown method', zipOf([{ name: '_rels/.rels', content: 'x', method: 99 }]), damaged('zip')],
    ['stored bytes that claim to be deflated', zipOf([{ name: '_rels/.rels', content: 'not deflated', isStored: true, method: 8 }]), damaged('zip')],
    ['an archive', zipOf([{ name: 'a.txt', content: 'x' }]), { reason: 'notText', found: 'archive' }],
    ['OpenDocument', zipOf([{ name: 'mimetype', content: 'application/vnd.oasis.opendocument.text', isStored: true }]), { reason: 'notText', found: 'otherDocument' }],
    ['no zip', new TextEncoder().encode('PK\x03\x04 and nothing more'), damaged('zip')],
  ]; // prettier-ignore
  for (const [name, bytes, reason] of cases) {
    it(name, async () => expect(await reasonOf(bytes)).toEqual(reason));
  }

  it('a zip that ends anywhere', async () => {
    for (let end = 0; end < whole.length; end += 1) {
      expect(['damaged', 'notText']).toContain((await reasonOf(whole.slice(0, end))).reason);
    }
  });

  it('or is changed anywhere: it is read or refused, and nothing else happens', async () => {
    for (let at = 0; at < whole.length; at += 1) {
      for (const mask of [0x01, 0x80, 0xff]) {
        const changed = whole.slice();
        changed[at]! ^= mask;
        await readOffice(changed, LIMITS).catch((error: unknown) => {
          if (!(error instanceof Refused)) throw error;
        });
      }
    }
  });
});

it('finds the directory before a comment, and reads stored entries', async () => {
  const rels = '<R><Relationship Type="officeDocument" Target="/word/d.xml"/></R>';
  const entries = [
    { name: '_rels/.rels', content: rels, isStored: true },
    { name: 'word/d.xml', content: `<d>${p('a')}</d>`, isStored: true },
  ];
  expect(await textOf(zipOf(entries, 'made by hand'))).toBe('a');
});
