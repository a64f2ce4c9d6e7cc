/**
 * Decides when to try again. There is never more than one timer, however often somebody asks.
 */

export interface Clock {
  setTimeout(run: () => void, delayMs: number): number;
  clearTimeout(timer: number): void;
  /** From 0 (included) to 1 (excluded). */
  random(): number;
}

const FIRST_DELAY_MS = 500;
/** Short enough that a person who restarts a server does not have to press anything. */
const LONGEST_DELAY_MS = 15_000;

export class Reconnect {
  private timer: number | null = null;
  private failures = 0;

  constructor(
    private readonly clock: Clock,
    private readonly connect: () => void,
  ) {}

  /** Schedules a try after the back-off; does nothing when one is scheduled already. */
  schedule(): void {
    if (this.timer !== null) return;
    const full = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** this.failures);
    this.failures += 1;
    // Half fixed, half random: pages that lost the same server do not return in one moment.
    this.after(full * (0.5 + this.clock.random() / 2));
  }

  /** Schedules a try after a fixed time (the server said that it is loading). */
  scheduleIn(delayMs: number): void {
    if (this.timer === null) this.after(delayMs);
  }

  /** Tries at once, in place of a scheduled try. */
  now(): void {
    this.stop();
    this.connect();
  }

  /** A connection has proved itself: the next failure starts with the shortest delay. */
  succeeded(): void {
    this.failures = 0;
  }

  stop(): void {
    if (this.timer !== null) this.clock.clearTimeout(this.timer);
    this.timer = null;
  }

  private after(delayMs: number): void {
    this.timer = this.clock.setTimeout(() => {
      this.timer = null;
      this.connect();
    }, delayMs);
  }
}
