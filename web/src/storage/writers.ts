/**
 * Finds out whether the windows that were writing answers are still there.
 *
 * A window saves while its answer grows, but there is nothing to save before the first word, and a
 * long prompt takes long. So a window that is silent is asked. It answers although it may be hidden:
 * browsers hold back its timers, not its messages.
 */

import { isRecord } from './store';

/** A window that has saved nothing for this long is asked. */
const SILENT_AFTER_MS = 5_000;
/** A window that does not answer within this time is gone. */
const REPLY_WITHIN_MS = 2_000;

/** The part of a `BroadcastChannel` that is used. */
export interface Channel {
  postMessage(message: unknown): void;
  onmessage: ((event: MessageEvent) => void) | null;
}

export interface Clock {
  setTimeout(run: () => void, delayMs: number): number;
  clearTimeout(timer: number): void;
}

export interface WritersEvents {
  /** Whether this window is writing the answer. */
  isWriting(id: number): boolean;
  /** Nobody writes these answers any more. */
  gone(ids: readonly number[]): void;
}

export class Writers {
  private timer: number | null = null;
  private unheard = new Set<number>();

  /** Without a `channel`, a silent window counts as gone. */
  constructor(
    private readonly events: WritersEvents,
    private readonly channel: Channel | null,
    private readonly clock: Clock,
  ) {
    if (channel) channel.onmessage = ({ data }) => this.receive(data);
  }

  /** Watches answers that other windows are writing, from now on only these. */
  watch(ids: readonly number[]): void {
    if (this.timer !== null) this.clock.clearTimeout(this.timer);
    this.timer = null;
    if (ids.length > 0) this.timer = this.clock.setTimeout(() => this.ask(ids), SILENT_AFTER_MS);
  }

  private ask(ids: readonly number[]): void {
    if (!this.channel) return this.events.gone(ids);
    this.unheard = new Set(ids);
    this.channel.postMessage({ asked: ids });
    this.timer = this.clock.setTimeout(() => this.judge(ids), REPLY_WITHIN_MS);
  }

  private judge(ids: readonly number[]): void {
    const gone = ids.filter((id) => this.unheard.has(id));
    this.watch(ids.filter((id) => !this.unheard.has(id)));
    if (gone.length > 0) this.events.gone(gone);
  }

  private receive(message: unknown): void {
    if (!isRecord(message)) return;
    const writing = numbers(message.asked).filter((id) => this.events.isWriting(id));
    if (writing.length > 0) this.channel?.postMessage({ writing });
    for (const id of numbers(message.writing)) this.unheard.delete(id);
  }
}

/** The channel between the windows of this browser; `null` where there is none. */
export function windowsChannel(): Channel | null {
  return typeof BroadcastChannel === 'undefined' ? null : new BroadcastChannel('banter.windows');
}

function numbers(value: unknown): number[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === 'number') : [];
}
