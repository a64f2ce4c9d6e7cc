/**
 * Models that reason write their thoughts between `<think>` and `</think>` before the answer. Some
 * templates open them in the prompt, so that an answer begins within thoughts and only has their
 * end.
 */

export interface Thoughts {
  /** `null` where there are none. */
  readonly thinking: string | null;
  /** Whether their end has come. */
  readonly closed: boolean;
  readonly answer: string;
}

const NAMES = 'think|thinking|thought|reasoning';
const OPENING = new RegExp(`^\\s*<(${NAMES})>`, 'i');
/** An end without a beginning stands on a line of its own, as templates have it. */
const BARE_CLOSING = new RegExp(`^[ \\t]*</(?:${NAMES})>`, 'gim');
const LONGEST_TAG = 32;

/** Parts thoughts from answer in a growing text, of which it reads each piece once. */
export class ThoughtReader {
  private text = '';
  private searched = 0;
  private found: { readonly start: number; readonly end: number } | null = null;

  update(text: string): Thoughts {
    if (text.length < this.text.length || text.slice(0, this.text.length) !== this.text)
      this.forget();
    this.text = text;
    const opening = OPENING.exec(text.slice(0, 1_000));
    this.found ??= opening ? this.closingOf(opening[1]!) : this.bareClosing();
    this.searched = Math.max(0, text.length - LONGEST_TAG);
    const from = opening?.[0].length ?? 0;
    if (this.found) {
      const { start, end } = this.found;
      const answer = text.slice(end).replace(/^\s+/, '');
      return { thinking: text.slice(from, start).trim(), closed: true, answer };
    }
    if (!opening) return { thinking: null, closed: true, answer: text };
    const thinking = text.slice(from).replace(/<\/?[a-z]{0,9}$/i, '');
    return { thinking: thinking.trim(), closed: false, answer: '' };
  }

  private closingOf(name: string) {
    const closing = new RegExp(`</${name}\\s*>`, 'gi');
    closing.lastIndex = this.searched;
    const match = closing.exec(this.text);
    return match && { start: match.index, end: closing.lastIndex };
  }

  private bareClosing() {
    BARE_CLOSING.lastIndex = this.text.lastIndexOf('\n', this.searched) + 1;
    const match = BARE_CLOSING.exec(this.text);
    if (!match) return null;
    const before = this.text.slice(0, match.index);
    // Words about the tags, or code that holds them, are no thoughts.
    const fences = before.match(/^[ \t]*(?:```|~~~)/gm)?.length ?? 0;
    const isQuoted = fences % 2 === 1 || new RegExp(`<(?:${NAMES})>`, 'i').test(before);
    return isQuoted ? null : { start: match.index, end: BARE_CLOSING.lastIndex };
  }

  private forget(): void {
    this.searched = 0;
    this.found = null;
  }
}

/** The answer of a whole text. */
export function withoutThoughts(text: string): string {
  return new ThoughtReader().update(text).answer;
}
