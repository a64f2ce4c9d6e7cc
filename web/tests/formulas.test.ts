/** Formulas that KaTeX alone would not draw, or not as they are meant. */

import katex from 'katex';
import { describe, expect, it } from 'vitest';
import { asKatexReads, MACROS } from '../src/markdown/math_commands';

function drawn(tex: string): string {
  const options = { displayMode: true, throwOnError: true, macros: { ...MACROS } } as const;
  return katex.renderToString(asKatexReads(tex), { ...options, strict: 'ignore' });
}

/** What a reader sees of a formula. */
function seen(tex: string): string {
  const [, html = ''] = drawn(tex).split('class="katex-html"');
  return html.replace(/^[^>]*>|<[^>]*>|[\s\u200b\u00a0]/g, '').replaceAll('−', '-');
}

describe('a formula', () => {
  it.each([
    ['\\begin{eqnarray}a &=& b \\\\ c &=& d\\end{eqnarray}', 'a=b', 'c=d'],
    ['\\begin{multline}a + b \\\\ + c\\end{multline}', 'a+b', '+c'],
    ['\\begin{flalign*}a &= b\\end{flalign*}', 'a', '=b'],
    ['\\begin{alignat}{2}a &= b\\end{alignat}', 'a', '=b'],
  ])('keeps its rows in an environment that KaTeX lacks: %s', (tex, ...parts) => {
    const letters = (text: string) => [...text].sort().join('');
    expect(letters(seen(tex))).toBe(letters(parts.join('')));
  });

  it.each(['equation', 'align', 'gather', 'eqnarray', 'multline', 'flalign'])(
    'has no number that nobody gave it: %s',
    (name) => {
      expect(drawn(`\\begin{${name}}a = b \\label{eq:a_1}\\end{${name}}`)).not.toContain('eqn-num');
    },
  );

  it('keeps the number that it was given', () => {
    expect(seen('\\begin{equation}a = b \\tag{3}\\end{equation}')).toContain('(3)');
  });

  it.each([
    ['95%', '95%'],
    ['5 % + x', '5%+x'],
    ['50\\% + x', '50%+x'],
    ['\\text{50%} + x', '50%+x'],
  ])('shows its percent sign, and what follows: %s', (tex, text) => {
    expect(seen(tex)).toBe(text);
  });

  it.each([
    ['\\text{total_cost} = x_1', 'total_cost=x1'],
    ['\\text{a\\_b}', 'a_b'],
    ['\\mbox{若 } x', '若x'],
    ['\\eqref{eq:one_a}', '(eq:one_a)'],
    ['\\abs{x}', '∣x∣'],
    ['\\norm{x}', '∥x∥'],
    ['20\\celsius', '20∘C'],
  ])('may have the commands that models know: %s', (tex, text) => {
    expect(seen(tex)).toBe(text);
  });

  it('stays as it is where KaTeX reads it', () => {
    const tex = '\\begin{cases} x_1 & x > 0 \\\\ \\text{sonst} \\end{cases} % a comment';
    expect(asKatexReads(tex)).toBe(tex);
  });
});
