/**
 * Emphasis in Chinese, Japanese and Korean, and strikethrough by two tildes only.
 *
 * CommonMark decides whether `**` opens or closes by the white space and the punctuation beside it.
 * Languages that write no spaces then lose their bold text: in `**注意：**请` the closing marks stand
 * between a colon and a letter, where CommonMark lets marks only open. The amendment known as
 * "markdown-cjk-friendly" lets marks both open and close beside a CJK character, whose punctuation
 * counts as a character. Here `marked` keeps its algorithm, with its guards against quadratic time,
 * and gets other rules; the package `marked-cjk-friendly` replaces the algorithm and loses them.
 */

import { Lexer, type Tokenizer, type Tokens, type TokensList } from 'marked';
import type { References } from './references';

/** Characters that need no space beside them, and their punctuation. */
export const CJK =
  '[\\p{scx=Han}\\p{scx=Hira}\\p{scx=Kana}\\p{scx=Hang}\\p{scx=Bopo}\\p{scx=Yiii}' +
  '\\u3000-\\u303f\\ufe30-\\ufe4f\\uff01-\\uffee]';
/** Punctuation of all other languages; `marked` does not count the tilde. */
const PUNCTUATION = `(?![~]|${CJK})[\\p{P}\\p{S}]`;
const LETTER = `(?:(?!${CJK})[^\\s\\p{P}\\p{S}]|~)`;

/**
 * Finds runs of a mark. The numbers of the groups are those that `marked` reads: 1 and 2 hold runs
 * that can only close, 3 and 4 runs that can only open, 5 and 6 runs that can do both.
 */
function runsOf(mark: string, run: string, skipped: string): RegExp {
  const whole = `${run}(?!${mark})`;
  return new RegExp(
    [
      skipped,
      `(?!${mark})(?:${PUNCTUATION}|${CJK})(${run})(?=\\s|$)`,
      `${LETTER}(${run})(?!${mark})(?=${PUNCTUATION}|\\s|$)`,
      `(?:(?!${mark})${PUNCTUATION}(?=${whole}${LETTER})|\\s(?=${whole}(?:${LETTER}|${CJK})))(${run})`,
      `\\s(${run})(?!${mark})(?=${PUNCTUATION})`,
      `(?:(?!${mark})${PUNCTUATION}(?=${whole}(?:${PUNCTUATION}|${CJK}))` +
        `|${CJK}(?=${whole}\\S)|${LETTER}(?=${whole}${CJK}))(${run})`,
      `${LETTER}(${run})(?!${mark})(?=${LETTER})`,
    ].join('|'),
    'gu',
  );
}

const BESIDE_UNDERSCORES = `^_+(?:((?!_)(?!~)[\\p{P}\\p{S}])|([^\\s_]))?`;

const RULES = {
  ...Lexer.rules.inline.breaks,
  punctuation: new RegExp(`^((?![*_])(?:[\\s\\p{P}\\p{S}]|${CJK}))`, 'u'),
  emStrongLDelim: new RegExp(
    `^(?:\\*+(?:((?!\\*)${PUNCTUATION})|([^\\s*]))?)|${BESIDE_UNDERSCORES}`,
    'u',
  ),
  emStrongRDelimAst: runsOf('\\*', '\\*+', '^[^_*]*?__[^_*]*?\\*[^_*]*?(?=__)|[^*]+(?=[^*])'),
  // A single tilde is "about" or "to" in Chinese and Japanese (3~5): it strikes nothing out.
  delLDelim: new RegExp(`^~~(?:((?!~)${PUNCTUATION})|[^\\s~])`, 'u'),
  delRDelim: runsOf('~', '~~', '^[^~]+(?=[^~])'),
};

/** Where a text stands in an answer. */
export interface Place {
  readonly references: References;
  /** More text follows. */
  readonly growing: boolean;
}

/** A lexer with these rules. */
export class AnswerLexer extends Lexer {
  readonly growing: boolean;
  /** The definitions of reference links, as the tokenizer looks them up. */
  readonly definitions: Lexer['tokens']['links'];
  /** The label of a definition at the end of a growing text: its address may be half of one. */
  halfDefined = '';
  private whole = '';

  constructor(options: Lexer['options'], { references, growing }: Place) {
    super(options);
    this.growing = growing;
    const tokenizer = this.options.tokenizer as Tokenizer;
    tokenizer.rules = { ...tokenizer.rules, inline: RULES };
    const links = Object.assign(this.tokens.links, references.definitions);
    this.definitions = references.lookingInto(links, (label) => label !== this.halfDefined);
  }

  override lex(text: string): TokensList {
    this.whole = text.trimEnd();
    return super.lex(text);
  }

  /** A part that is kept together, as it is, until its end comes. */
  awaitingEnd(raw: string): Tokens.Text & { awaitsEnd: true } {
    const text: Tokens.Text = { type: 'text', raw, text: raw, escaped: false };
    return { ...text, tokens: [text], awaitsEnd: true };
  }

  /**
   * Whether a part of the text, or of an item or a quote in it, is the last one and still grows.
   */
  isAtEnd(part: string): boolean {
    const lastLine = part.slice(part.trimEnd().lastIndexOf('\n') + 1).trim();
    return this.growing && this.whole.endsWith(lastLine);
  }
}
