import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { accentIn, contrastOf, isColour } from '../../src/embed/colours';

const TOKENS = readFileSync(join(import.meta.dirname, '../../src/tokens.css'), 'utf8');
const ANY = ['#000', '#fff', '#ffff00', '#0b6a65', '#7f7f7f', '#ff0000', '#eeebe4', '#28282e'];

/** The colours of the surfaces that text in the accent may stand on. */
function surfaces(): { light: string[]; dark: string[] } {
  const found = ['surface', 'raised', 'bubble'].map((name) =>
    new RegExp(`--${name}: light-dark\\((#\\w+), (#\\w+)\\)`).exec(TOKENS)!.slice(1),
  );
  return { light: found.map(([light]) => light!), dark: found.map(([, dark]) => dark!) };
}

describe('the colour of a site', () => {
  it('can be read as text and under text in both themes, whatever it is', () => {
    for (const theme of ['light', 'dark'] as const) {
      for (const colour of ANY) {
        const { accent, text } = accentIn(theme, colour);
        for (const surface of surfaces()[theme])
          expect(contrastOf(accent, surface), `${colour} on ${surface}`).toBeGreaterThanOrEqual(
            4.5,
          );
        expect(contrastOf(text, accent), `text on ${colour}`).toBeGreaterThanOrEqual(4.5);
      }
    }
  });

  it('stays as it is where it can be read', () => {
    expect(accentIn('light', '#0b6a65').accent).toBe('#0b6a65');
    expect(accentIn('dark', '#62c9bf').accent).toBe('#62c9bf');
  });

  it('is written with three or six digits', () => {
    for (const colour of ['#abc', '#AABBCC']) expect(isColour(colour), colour).toBe(true);
    for (const none of ['abc', '#ab', '#abcd', 'red', '#12345g', '#abc;', ''])
      expect(isColour(none), none).toBe(false);
  });

  it('has the contrast of the specification', () => {
    expect(contrastOf('#000', '#fff')).toBeCloseTo(21);
    expect(contrastOf('#777', '#fff')).toBeCloseTo(4.48, 1);
  });
});
