/**
 * Keeps the conversation and the drafts for the next visit, separately for each person. Saves them
 * when they change and when the page may be closed, and takes over what other windows of this
 * browser have saved.
 */

import type { Conversation } from './conversation/reduce';
import type { State } from './conversation/state';
import type { Message } from './conversation/types';
import { Drafts } from './storage/drafts.svelte';
import { Library } from './storage/library';
import { forgetOwner, loadOwner, saveOwner, UNKNOWN_OWNER } from './storage/owner';
import { browserStorage, windowStorage } from './storage/store';
import { WindowName } from './storage/window_name';
import { Writers, windowsChannel } from './storage/writers';

/** While an answer grows, it is written to storage at most this often. */
const SAVE_EVERY_MS = 1_000;
/** After a save that took long, this many times as long is left to other work. */
const REST_AFTER_SAVE = 20;

/** The conversation that is kept, and the changes that the keeper makes to it. */
export interface Kept {
  state(): State;
  take(kind: 'restored' | 'synced', stored: Conversation): void;
  orphaned(ids: readonly number[]): void;
  /** Draws the pieces that have arrived. */
  flush(): void;
}

export class Keeper {
  /** Whether the conversation will be there after a reload. */
  kept = $state(true);
  readonly drafts: Drafts;

  private readonly store = browserStorage();
  private readonly name = new WindowName(windowStorage());
  private readonly writers: Writers;
  private library: Library;
  private saveTimer: number | null = null;
  private saveMs = 0;
  /** The owner that the server named while an answer was being written. */
  private nextOwner: string | null = null;
  private isSamePerson = false;

  constructor(private readonly chat: Kept) {
    const owner = loadOwner(this.store);
    this.library = new Library(this.store, owner, this.name.text);
    this.drafts = new Drafts(windowStorage(), owner);
    const events = {
      isWriting: (id: number) => chat.state().answering?.messageId === id,
      gone: (ids: readonly number[]) => chat.orphaned(ids),
    };
    const clock = {
      setTimeout: (run: () => void, delayMs: number) => window.setTimeout(run, delayMs),
      clearTimeout: (timer: number) => window.clearTimeout(timer),
    };
    this.writers = new Writers(events, windowsChannel(), clock);
  }

  /** Brings back what was kept. */
  open(): void {
    this.library.takeOld();
    this.chat.take('restored', this.library.load());
    this.watchOthers();
  }

  /** Follows the page and the other windows. Returns how to let go of them. */
  watch(): () => void {
    const leave = () => this.leave();
    const back = () => this.name.takeOut();
    const hidden = () => document.visibilityState === 'hidden' && this.flush();
    const stored = ({ key, newValue, storageArea }: StorageEvent) => {
      if (storageArea === this.store) this.takeOthers(key, newValue);
    };
    window.addEventListener('pagehide', leave);
    window.addEventListener('pageshow', back);
    window.addEventListener('storage', stored);
    document.addEventListener('visibilitychange', hidden);
    document.addEventListener('freeze', leave);
    document.addEventListener('resume', back);
    return () => {
      window.removeEventListener('pagehide', leave);
      window.removeEventListener('pageshow', back);
      window.removeEventListener('storage', stored);
      document.removeEventListener('visibilitychange', hidden);
      document.removeEventListener('freeze', leave);
      document.removeEventListener('resume', back);
    };
  }

  /** This person has just signed in again: the next owner that the server names is them. */
  expectNewName(): void {
    this.isSamePerson = true;
  }

  /** The server says who is here: each person has a conversation of their own. */
  changeOwner(owner: string): void {
    saveOwner(this.store, owner);
    if (owner === this.library.owner) {
      this.isSamePerson = false;
      return;
    }
    // An answer that is being written belongs to the person who asked.
    if (this.chat.state().answering) this.nextOwner = owner;
    else this.switchTo(owner);
  }

  /** The next person must not see what this person asked, not even for a moment. */
  forgetOwner(): void {
    forgetOwner(this.store);
  }

  answerEnded(): void {
    this.save();
    if (this.nextOwner !== null) this.switchTo(this.nextOwner);
  }

  saveSoon(): void {
    const delayMs = Math.max(SAVE_EVERY_MS, this.saveMs * REST_AFTER_SAVE);
    this.saveTimer ??= window.setTimeout(() => this.save(), delayMs);
  }

  save(): void {
    this.chat.flush();
    this.write((conversation) => conversation);
  }

  private switchTo(owner: string): void {
    this.nextOwner = null;
    this.save();
    // Until a server has named an owner, this counts as the same person as before.
    const isSame = this.isSamePerson || this.library.owner === UNKNOWN_OWNER;
    this.isSamePerson = false;
    if (isSame) this.drafts.moveTo(owner);
    else this.drafts.changeOwner(owner);
    this.library = isSame
      ? this.library.moveTo(owner)
      : new Library(this.store, owner, this.name.text);
    this.chat.take('restored', this.library.load());
    this.watchOthers();
  }

  private takeOthers(key: string | null, json: string | null): void {
    const stored = this.library.take(key, json);
    if (!stored) return;
    this.chat.take('synced', stored);
    this.watchOthers();
  }

  /** An answer of another window that is gone counts as interrupted. */
  private watchOthers(): void {
    this.writers.watch(writtenElsewhere(this.chat.state().messages));
  }

  private flush(): void {
    this.drafts.flush();
    this.chat.flush();
    if (this.saveTimer !== null) this.save();
  }

  /** The page may be closed for good: an answer that is being written is saved as interrupted. */
  private leave(): void {
    this.name.putBack();
    this.flush();
    const { answering } = this.chat.state();
    if (!answering) return;
    this.write((conversation) => ({
      ...conversation,
      messages: conversation.messages.map((message) =>
        message.id === answering.messageId
          ? { ...message, outcome: { kind: 'interrupted' } }
          : message,
      ),
    }));
  }

  private write(change: (conversation: Conversation) => Conversation): void {
    if (this.saveTimer !== null) window.clearTimeout(this.saveTimer);
    this.saveTimer = null;
    const beganMs = performance.now();
    this.kept = this.library.save(change(this.chat.state()));
    this.saveMs = performance.now() - beganMs;
  }
}

function writtenElsewhere(messages: readonly Message[]): number[] {
  return messages.filter(({ outcome }) => outcome.kind === 'elsewhere').map(({ id }) => id);
}
