/**
 * Reference links: `[the page][1]`, and elsewhere `[1]: https://example.org`. The definition may
 * come later than the text that refers to it, which must then be read again.
 */

import type { Lexer, Tokens } from 'marked';

/** Addresses by label. */
type Definitions = Lexer['tokens']['links'];

export class References {
  /** The definitions that were read as a whole. Labels are a model's words: none is inherited. */
  readonly definitions: Definitions = Object.create(null) as Definitions;
  /** Labels that a text referred to before they were defined. */
  private readonly missed = new Set<string>();

  constructor(known?: References) {
    Object.assign(this.definitions, known?.definitions);
  }

  /** Of two definitions of a label, the first counts. */
  define({ tag, href, title = '' }: Tokens.Def): void {
    this.definitions[tag] ??= { href, title };
  }

  /** These definitions and those in a text; remembers which labels are looked for in vain. */
  lookingInto(inText: Definitions, isWhole: (label: string) => boolean): Definitions {
    return new Proxy(inText, {
      get: (known, label: string) => {
        const found = this.definitions[label] ?? (isWhole(label) ? known[label] : undefined);
        if (!found) this.missed.add(label);
        return found;
      },
    });
  }

  /** Whether a text that was read referred to a definition that came later. */
  get cameLate(): boolean {
    return [...this.missed].some((label) => label in this.definitions);
  }
}
