/**
 * How much of a long text is drawn in one batch. A batch that takes long holds up the page, and how
 * long a text takes depends on the machine and on the text. So each batch is measured, and the next
 * one is made larger or smaller.
 */

/** A batch should take about this long: two of them fit between two frames. */
const WANTED_MS = 8;
/** Drawn at once, before anything was measured: a usual answer as a whole. */
const FIRST = 10_000;
const SECOND = 4_000;
const LEAST = 1_000;
const MOST = 32_000;

export class BatchSize {
  /** Characters to draw in the next batch. */
  characters = FIRST;
  private isFirst = true;

  /** All of the text was drawn. */
  wasEnough(): void {
    if (this.isFirst) this.characters = SECOND;
    this.isFirst = false;
  }

  /** A batch of `characters` took `ms`, and more text waits. */
  took(ms: number): void {
    if (this.isFirst) return this.wasEnough();
    // One measurement may be wrong by much: other programs run, too.
    const factor = Math.min(2, Math.max(0.5, WANTED_MS / Math.max(ms, 0.1)));
    this.characters = Math.min(MOST, Math.max(LEAST, Math.round(this.characters * factor)));
  }
}
