/**
 * Rewrites formulas as models write them, for LaTeX, in the commands that KaTeX has. What KaTeX
 * cannot draw stays as its source, and nobody wants to read that.
 */

/**
 * Environments that KaTeX lacks or would number. Numbers would start anew in every part of an
 * answer that the browser lays out by itself.
 */
const ENVIRONMENTS = new Map([
  ['equation', 'equation*'],
  ['align', 'align*'],
  ['alignat', 'alignat*'],
  ['gather', 'gather*'],
  ['multline', 'gather*'],
  ['flalign', 'align*'],
]);

/** Commands of LaTeX and its packages, as macros of KaTeX. */
export const MACROS: Readonly<Record<string, string>> = {
  '\\abs': '\\left|#1\\right|',
  '\\norm': '\\left\\|#1\\right\\|',
  '\\mbox': '\\text{#1}',
  '\\ref': '\\text{#1}',
  '\\eqref': '(\\text{#1})',
  '\\overarc': '\\overset{\\frown}{#1}',
  '\\wideparen': '\\overset{\\frown}{#1}',
  '\\celsius': '{}^{\\circ}\\mathrm{C}',
};

export function asKatexReads(tex: string): string {
  return (
    tex
      .replace(/\\(begin|end)\{(\w+)\*?\}/g, environment)
      .replace(/\\label\s*\{[^{}]*\}/g, '')
      .replace(/\\(?:text\w*|mbox|ref|eqref)\s*\{[^{}]*\}/g, withUnderscores)
      // TeX would take the rest of the line for a comment, and hide it.
      .replace(/(?<=\d\s?)%/g, '\\%')
  );
}

function environment(command: string, side: string, name: string): string {
  if (name === 'eqnarray') return side === 'end' ? '\\end{array}' : '\\begin{array}{rcl}';
  const known = ENVIRONMENTS.get(name);
  return known === undefined ? command : `\\${side}{${known}}`;
}

/** Names like `total_cost` within a formula. */
function withUnderscores(words: string): string {
  return words.replace(/(?<!\\)_/g, '\\_');
}
