/**
 * Tells the server what is being typed, so that the model prepares before the message is sent. It
 * waits for a pause in the typing, and says nothing while an input method composes.
 */

import type { Sent } from './connection/v1';
import { isLocal } from './conversation/requests';
import type { Settings } from './storage/settings';

/** A pause of this length means that a thought is written down. */
const PAUSE_MS = 350;

export interface Typed {
  /** The name of the thread. */
  readonly thread: string;
  readonly text: string;
  readonly settings: Settings;
  /** Whether the model could use it now: somebody listens, and no answer is being made here. */
  readonly isUseful: boolean;
}

export class Drafting {
  private timer: number | null = null;
  private sent = { thread: '', text: '' };

  constructor(
    private readonly send: (event: Sent) => boolean,
    private readonly mostBytes: () => number,
  ) {}

  typed(typed: Typed): void {
    this.wait();
    if (!typed.isUseful) return;
    this.timer = window.setTimeout(() => this.tell(typed), PAUSE_MS);
  }

  /** The message was sent, or the switch is off: what was told is of no use any more. */
  end(): void {
    this.wait();
    this.sent = { thread: '', text: '' };
  }

  /** Nothing is told until more is typed. */
  wait(): void {
    if (this.timer !== null) window.clearTimeout(this.timer);
    this.timer = null;
  }

  private tell({ thread, text, settings }: Typed): void {
    const { sent } = this;
    const isKnown = text === sent.text && (text === '' || thread === sent.thread);
    if (isKnown) return;
    // Three bytes are the most that one unit of UTF-16 takes.
    if (text.length * 3 > this.mostBytes()) return;
    const place = isLocal(thread)
      ? settings.system === ''
        ? {}
        : { system: settings.system }
      : { conversation: thread };
    if (this.send({ type: 'draft', text, ...place })) this.sent = { thread, text };
  }
}
