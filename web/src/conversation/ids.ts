/** Ids that rise with time, so that messages of two windows of a browser can be put in order. */

/** Room for this many ids in each millisecond. */
const PER_MS = 1024;

export class Ids {
  private last = 0;

  constructor(
    private readonly nowMs: () => number = Date.now,
    private readonly random: () => number = Math.random,
  ) {}

  next(): number {
    const fresh = this.nowMs() * PER_MS + Math.floor(this.random() * PER_MS);
    // Also when the clock is set back, or many come at once.
    this.last = Math.max(fresh, this.last + 1);
    return this.last;
  }

  /** Makes all new ids larger than these. */
  after(ids: readonly number[]): void {
    for (const id of ids) this.last = Math.max(this.last, id);
  }
}
