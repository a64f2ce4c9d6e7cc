import { beforeEach, describe, expect, it } from 'vitest';
import { Reconnect } from '../src/connection/reconnect';

class FakeClock {
  timers = new Map<number, { run: () => void; delayMs: number }>();
  random_ = 0;
  private next = 1;

  setTimeout(run: () => void, delayMs: number): number {
    this.timers.set(this.next, { run, delayMs });
    return this.next++;
  }

  clearTimeout(timer: number): void {
    this.timers.delete(timer);
  }

  random(): number {
    return this.random_;
  }

  /** Fires the only timer and returns its delay. */
  fire(): number {
    expect(this.timers.size).toBe(1);
    const [[id, { run, delayMs }]] = [...this.timers] as [
      [number, { run: () => void; delayMs: number }],
    ];
    this.timers.delete(id);
    run();
    return delayMs;
  }
}

let clock: FakeClock;
let tries: number;
let reconnect: Reconnect;

beforeEach(() => {
  clock = new FakeClock();
  tries = 0;
  reconnect = new Reconnect(clock, () => (tries += 1));
});

describe('Reconnect', () => {
  it('never has two timers, whoever asks', () => {
    reconnect.schedule();
    reconnect.schedule();
    reconnect.scheduleIn(500);
    expect(clock.timers.size).toBe(1);
    reconnect.now();
    expect(clock.timers.size).toBe(0);
    expect(tries).toBe(1);
  });

  it('waits longer after each failure, up to a limit', () => {
    clock.random_ = 0.999_999;
    const delays = Array.from(
      { length: 8 },
      () => (reconnect.schedule(), Math.round(clock.fire())),
    );
    expect(delays).toEqual([500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]);
    expect(tries).toBe(8);
  });

  it('spreads its tries over half of the delay', () => {
    reconnect.schedule();
    expect(clock.fire()).toBe(250);
  });

  it('starts again with the shortest delay after a success', () => {
    for (let failure = 0; failure < 5; failure += 1) (reconnect.schedule(), clock.fire());
    reconnect.succeeded();
    reconnect.schedule();
    expect(clock.fire()).toBe(250);
  });

  it('does not try after it was stopped', () => {
    reconnect.schedule();
    reconnect.stop();
    expect(clock.timers.size).toBe(0);
  });
});
