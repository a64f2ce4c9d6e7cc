/** The message that is being written, and what the server is told of it before it is sent. */

import { behindFiles, writeFiles } from './attach/message';
import type { ConversationsApi } from './connection/conversations';
import type { Sent } from './connection/v1';
import { byteLength } from './conversation/arriving';
import { Drafting } from './drafting';
import { Fitting } from './fitting';
import type { Drafts } from './storage/drafts.svelte';
import type { OpenThread } from './threads.svelte';
import type { Limits } from './wire';

/** Used until the server has named its own limit. */
const ASSUMED_MESSAGE_BYTES = 1 << 20;
/** What the other fields of a frame may take. */
const FRAME_ROOM_BYTES = 4_096;

export class Composing {
  private readonly drafting: Drafting;
  private readonly fitting: Fitting;
  /** Apart from the text, because files are large and each key changes the text. */
  private readonly files = $derived.by(() => writeFiles(this.drafts.files));

  constructor(
    private readonly drafts: Drafts,
    private readonly limits: () => Limits | null,
    api: ConversationsApi,
    send: (event: Sent) => boolean,
  ) {
    this.drafting = new Drafting(send, () => this.mostBytes);
    this.fitting = new Fitting(api);
  }

  /** What would be sent: the files and the text. */
  readonly text = $derived.by(() => behindFiles(this.files, this.drafts.message));

  /** Whether the message could not be sent, because it is longer than the server takes. */
  readonly isTooLarge = $derived.by(() => this.exceeds(this.text));

  /** The longest message, in bytes. */
  get mostBytes(): number {
    return (this.limits()?.message_bytes ?? ASSUMED_MESSAGE_BYTES) - FRAME_ROOM_BYTES;
  }

  exceeds(text: string): boolean {
    // JSON writes up to six bytes for one unit of UTF-16.
    if (text.length * 6 <= this.mostBytes) return false;
    return byteLength(JSON.stringify(text)) > this.mostBytes;
  }

  /** Puts a text in front of what is written. It is never sent. */
  begin(text: string): void {
    if (text.trim() === '') return;
    const { message } = this.drafts;
    this.drafts.write(message === '' ? text : `${text}\n\n${message}`);
  }

  /**
   * The text has changed, or what it would be an answer to. `isUseful`: an answer could be asked
   * for now; one that is being made tells itself how it fits, and prepares nothing.
   */
  typed(thread: OpenThread, isUseful: boolean, prepares: boolean): void {
    const { text } = this;
    const { settings } = this.drafts;
    this.drafting.typed({ thread: thread.name, text, settings, isUseful: isUseful && prepares });
    if (isUseful) this.fitting.changed(thread, text, settings);
  }

  /** An input method composes: nothing is told of what is typed until it is done. */
  wait(): void {
    this.drafting.wait();
    this.fitting.forget();
  }

  /** Nothing is to be prepared any more. */
  endDraft(): void {
    this.drafting.end();
  }

  /** The message is sent. */
  sent(): void {
    this.drafting.end();
    this.fitting.forget();
  }
}
