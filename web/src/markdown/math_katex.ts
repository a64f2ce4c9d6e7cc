import 'katex/dist/katex.min.css';
import katex, { type KatexOptions } from 'katex';
import { copyWithSources } from './copy';
import { asKatexReads, MACROS } from './math_commands';

export type Render = (tex: string, place: HTMLElement, options: KatexOptions) => void;

/** Fonts that nearly every formula needs. */
const FONTS = [
  '1em KaTeX_Main',
  'italic 1em KaTeX_Math',
  '1em KaTeX_AMS',
  '1em KaTeX_Size1',
  '1em KaTeX_Size2',
  '1em KaTeX_Size3',
  '1em KaTeX_Size4',
];

const fonts = Promise.allSettled(FONTS.map((font) => document.fonts.load(font)));

document.addEventListener('copy', copyWithSources);

/**
 * The function that draws formulas. It waits for the fonts, because fonts that arrive later would
 * move what is drawn; if they cannot be loaded, it draws without them.
 */
export async function load(): Promise<Render> {
  await fonts;
  return render;
}

/** The same, with the commands of chemistry. */
export async function loadChemistry(): Promise<Render> {
  // If they cannot be had, the source stays; all other formulas are drawn.
  await import('katex/contrib/mhchem').catch(() => undefined);
  return load();
}

function render(tex: string, place: HTMLElement, options: KatexOptions): void {
  katex.render(asKatexReads(tex), place, { ...options, macros: { ...MACROS } });
}
