/**
 * How much of a long text is drawn in one batch. A batch that takes long holds up the page, and how
 * long a text takes depends on the machine and on the text. So each batch is measured, and the next
 * one is made larger or smaller.
 */

/**
 * A batch should take about this long, with what the browser does to show it: a third of a long
 * task, because the browser may have to collect garbage in the same task.
 */
const WANTED_MS = 16;
/** Drawn at once, before anything was measured: a usual answer as a whole. */
const FINISHED = 10_000;
/** What comes in a burst is drawn while more comes. */
const GROWING = 4_000;
const LEAST = 2_000;
const MOST = 32_000;

export class BatchSize {
  /** Characters to draw in the next batch. */
  characters: number;
  private isFirst = true;

  constructor(growing: boolean) {
    this.characters = growing ? GROWING : FINISHED;
  }

  /** So many characters were drawn in `ms`. */
  took(ms: number, characters: number): void {
    if (this.isFirst) this.characters = GROWING;
    this.isFirst = false;
    // A few words take as long as many.
    if (characters < LEAST) return;
    const wanted = (characters * WANTED_MS) / Math.max(ms, 0.1);
    // One measurement may be wrong by much: other programs run, too.
    const near = Math.min(this.characters * 2, Math.max(this.characters / 2, wanted));
    this.characters = Math.min(MOST, Math.max(LEAST, Math.round(near)));
  }
}
