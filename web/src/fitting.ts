/**
 * Asks how the shown conversation, with the text that is being typed, fits in the model's context:
 * for the gauge, and for the messages that the model will not read any more.
 */

import type { ConversationsApi } from './connection/conversations';
import { isLocal } from './conversation/requests';
import type { Settings } from './storage/settings';
import type { OpenThread } from './threads.svelte';

/** Counting waits until the typing pauses. */
const PAUSE_MS = 500;
/** A longer text takes the server longer to count than a person waits for a gauge. */
const LONGEST_CHARACTERS = 200_000;

export class Fitting {
  private timer: number | null = null;
  /** Raised with every question, so that a late reply to an older one is recognised. */
  private asked = 0;

  constructor(private readonly api: ConversationsApi) {}

  /** The text, the branch or the settings have changed. */
  changed(thread: OpenThread, text: string, settings: Settings): void {
    this.forget();
    if (text.length > LONGEST_CHARACTERS) return;
    const ask = () => void this.ask(thread, text, settings);
    this.timer = window.setTimeout(ask, PAUSE_MS);
  }

  /** What was asked is of no use any more: an answer begins, which tells it more exactly. */
  forget(): void {
    this.asked += 1;
    if (this.timer !== null) window.clearTimeout(this.timer);
    this.timer = null;
  }

  private async ask(thread: OpenThread, text: string, settings: Settings): Promise<void> {
    const { asked } = this;
    const { name, state } = thread;
    const isNew = isLocal(name);
    if (isNew && text === '') return thread.dispatch({ kind: 'fit', fit: null });
    const fit = isNew
      ? await this.api.fitOfNew({ ...settings, text })
      : await this.api.fit(name, { parent: state.leaf, text });
    if (fit && asked === this.asked) thread.dispatch({ kind: 'fit', fit });
  }
}
