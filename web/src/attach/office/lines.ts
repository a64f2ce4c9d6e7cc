/** The lines of a document's text. */

import { type Limits, Refused } from '../attachment';

/**
 * Collects lines. A small file could name the same long text in a million cells, so collecting ends
 * at twice the limit; the limit itself is checked on the finished text, from which much is trimmed.
 */
export class Lines {
  private readonly lines: string[] = [];
  private characters = 0;
  private heading: string | null = null;

  constructor(private readonly limitBytes: Limits['textBytes']) {}

  add(line: string): void {
    this.count(line.length + 1);
    if (this.heading !== null && line.trim() !== '') {
      this.lines.push('', this.heading);
      this.heading = null;
    }
    this.lines.push(line);
  }

  /** The heading of the lines that follow; it is left out if there are none. */
  begin(heading: string): void {
    this.count(heading.length);
    this.heading = heading;
  }

  /** Counts text that is kept elsewhere before it becomes a line. */
  count(characters: number): void {
    this.characters += characters;
    if (this.characters > 2 * this.limitBytes) {
      throw new Refused({ reason: 'tooMuchText', limitBytes: this.limitBytes });
    }
  }

  /** No line ends with white space, and no more than one empty line stands between others. */
  text(): string {
    const trimmed = this.lines.map((line) => line.trimEnd()).join('\n');
    return trimmed.replace(/\n{3,}/g, '\n\n').replace(/^\n+|\n+$/g, '');
  }
}
