/**
 * The colours of a site, made readable: as text on the widget's surface, and under text.
 *
 * Contrast as WCAG 2.2 defines it: https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio.
 */

type Rgb = readonly [number, number, number];

/** The darkest light surface and the lightest dark one that text in the colour stands on. */
const SURFACES = { light: '#eeebe4', dark: '#28282e' } as const;
const LEAST_CONTRAST = 4.5;
const STEP = 0.05;
const HOVER = 0.15;
const [BLACK, WHITE]: [Rgb, Rgb] = [
  [0, 0, 0],
  [255, 255, 255],
];

export interface Accent {
  readonly accent: string;
  readonly hover: string;
  /** Of text on the colour. */
  readonly text: string;
}

export function isColour(text: string): boolean {
  return /^#(?:[\da-f]{3}|[\da-f]{6})$/i.test(text);
}

/** A colour as it is used in a theme: no lighter, or no darker, than can be read there. */
export function accentIn(theme: 'light' | 'dark', colour: string): Accent {
  const surface = parse(SURFACES[theme]);
  const away = theme === 'light' ? BLACK : WHITE;
  let accent = parse(colour);
  while (contrast(accent, surface) < LEAST_CONTRAST) accent = mix(accent, away, STEP);
  const text = contrast(accent, WHITE) >= contrast(accent, BLACK) ? WHITE : BLACK;
  return { accent: show(accent), hover: show(mix(accent, away, HOVER)), text: show(text) };
}

export function contrastOf(one: string, other: string): number {
  return contrast(parse(one), parse(other));
}

function contrast(one: Rgb, other: Rgb): number {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light! + 0.05) / (dark! + 0.05);
}

function luminance(colour: Rgb): number {
  const [red, green, blue] = colour.map((byte) => {
    const part = byte / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!;
}

/** Rounded away from where it was, so that every step is one. */
function mix(from: Rgb, to: Rgb, part: number): Rgb {
  const one = (index: 0 | 1 | 2) => {
    const step = (to[index] - from[index]) * part;
    return from[index] + (step < 0 ? Math.floor(step) : Math.ceil(step));
  };
  return [one(0), one(1), one(2)];
}

function parse(text: string): Rgb {
  const digits = text.slice(1);
  const long = digits.length === 3 ? [...digits].map((digit) => digit + digit).join('') : digits;
  const byte = (at: number) => parseInt(long.slice(at, at + 2), 16);
  return [byte(0), byte(2), byte(4)];
}

function show(colour: Rgb): string {
  return `#${colour.map((byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}
