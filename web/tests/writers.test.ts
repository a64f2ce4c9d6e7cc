import { beforeEach, describe, expect, it } from 'vitest';
import { type Channel, Writers } from '../src/storage/writers';

class FakeClock {
  timers = new Map<number, () => void>();
  private next = 1;

  setTimeout(run: () => void): number {
    this.timers.set(this.next, run);
    return this.next++;
  }

  clearTimeout(timer: number): void {
    this.timers.delete(timer);
  }

  /** Fires the only timer. */
  fire(): void {
    expect(this.timers.size).toBe(1);
    const [[id, run]] = [...this.timers] as [[number, () => void]];
    this.timers.delete(id);
    run();
  }
}

/** Channels of which each gets at once what another one sends. */
class FakeChannels {
  private all: Channel[] = [];

  open(): Channel {
    const channel: Channel = {
      onmessage: null,
      postMessage: (data) => {
        for (const other of this.all)
          if (other !== channel) other.onmessage?.({ data } as MessageEvent);
      },
    };
    this.all.push(channel);
    return channel;
  }
}

let clock: FakeClock;
let channels: FakeChannels;
let gone: number[];

beforeEach(() => {
  clock = new FakeClock();
  channels = new FakeChannels();
  gone = [];
});

function watcher(channel: Channel | null): Writers {
  const events = { isWriting: () => false, gone: (ids: readonly number[]) => gone.push(...ids) };
  return new Writers(events, channel, clock);
}

/** Another window; it writes the answers in the list as long as they are there. */
function writing(...ids: number[]): number[] {
  const events = { isWriting: (id: number) => ids.includes(id), gone: () => undefined };
  new Writers(events, channels.open(), new FakeClock());
  return ids;
}

describe('a window that writes an answer', () => {
  it('counts as there as long as it says so', () => {
    const written = writing(1);
    watcher(channels.open()).watch([1]);
    // Each time it is asked, and then the time for its reply has passed.
    for (let count = 0; count < 3; count += 1) {
      clock.fire();
      clock.fire();
    }
    expect(gone).toEqual([]);
    written.pop();
    clock.fire();
    clock.fire();
    expect(gone).toEqual([1]);
    expect(clock.timers.size).toBe(0);
  });

  it('does not speak for others', () => {
    writing(1);
    watcher(channels.open()).watch([1, 2]);
    clock.fire();
    clock.fire();
    expect(gone).toEqual([2]);
    expect(clock.timers.size).toBe(1);
  });

  it('is not asked while it saves, nor once there is nothing to watch', () => {
    const writers = watcher(channels.open());
    writers.watch([1]);
    writers.watch([1]);
    expect(clock.timers.size).toBe(1);
    writers.watch([]);
    expect(clock.timers.size).toBe(0);
  });

  it('counts as gone after some silence where windows cannot talk', () => {
    watcher(null).watch([1]);
    clock.fire();
    expect(gone).toEqual([1]);
  });

  it('leaves alone what it does not understand', () => {
    const channel = channels.open();
    watcher(channels.open());
    for (const message of [null, 'asked', {}, { asked: 1 }, { writing: [null] }])
      expect(() => channel.postMessage(message)).not.toThrow();
  });
});
