/** Estimates a download rate from byte counts that are read from time to time. */
export class Pace {
  private last: { readonly bytes: number; readonly atMs: number } | null = null;
  private rate: number | null = null;

  /** Bytes per second, `null` while unknown. */
  get bytesPerSecond(): number | null {
    return this.rate;
  }

  look(bytes: number, nowMs: number): void {
    const { last } = this;
    this.last = { bytes, atMs: nowMs };
    if (!last || nowMs <= last.atMs || bytes < last.bytes) return;
    const now = ((bytes - last.bytes) * 1000) / (nowMs - last.atMs);
    // Older looks count less and less, so that the figure neither jumps nor lags for long.
    const NEWEST = 0.3;
    this.rate = this.rate === null ? now : this.rate + NEWEST * (now - this.rate);
  }

  secondsFor(bytes: number): number | null {
    return this.rate ? bytes / this.rate : null;
  }

  reset(): void {
    this.last = null;
    this.rate = null;
  }
}
