/**
 * What is being written and not sent yet: the new message, and changes to earlier ones. It is kept
 * for as long as the window lives, reloads included; two windows have drafts of their own.
 */

import { isRecord, keep, readRecord, type Store } from './store';

/** Typing does not wait for storage: a long text would take longer than a key. */
const KEEP_AFTER_MS = 300;

export class Drafts {
  message = $state('');
  /** Changed texts by the id of the message; one that is here has its editor open. */
  edits = $state.raw<Readonly<Record<number, string>>>({});

  private timer: number | null = null;

  constructor(
    private readonly store: Store | null,
    private owner: string,
  ) {
    this.load();
  }

  /** Someone else has signed in. */
  changeOwner(owner: string): void {
    if (owner === this.owner) return;
    this.flush();
    this.owner = owner;
    this.load();
  }

  /** The same person has signed in under another name. */
  moveTo(owner: string): void {
    if (owner === this.owner) return;
    this.store?.removeItem(this.key);
    this.owner = owner;
    const isEmpty = this.message === '' && Object.keys(this.edits).length === 0;
    if (isEmpty) this.load();
    else this.save();
  }

  write(text: string): void {
    this.message = text;
    this.saveSoon();
  }

  edit(id: number, text: string): void {
    this.edits = { ...this.edits, [id]: text };
    this.saveSoon();
  }

  endEdit(id: number): void {
    this.edits = Object.fromEntries(
      Object.entries(this.edits).filter(([key]) => Number(key) !== id),
    );
    this.saveSoon();
  }

  /** Saves unsaved changes. */
  flush(): void {
    if (this.timer !== null) this.save();
  }

  private get key(): string {
    return `banter.drafts.${this.owner}`;
  }

  private load(): void {
    const saved = readRecord(this.store, this.key);
    this.message = typeof saved?.message === 'string' ? saved.message : '';
    const edits = isRecord(saved?.edits) ? Object.entries(saved.edits) : [];
    this.edits = Object.fromEntries(
      edits.filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
    );
  }

  private saveSoon(): void {
    this.timer ??= window.setTimeout(() => this.save(), KEEP_AFTER_MS);
  }

  private save(): void {
    if (this.timer !== null) window.clearTimeout(this.timer);
    this.timer = null;
    const { message, edits } = this;
    if (message === '' && Object.keys(edits).length === 0) this.store?.removeItem(this.key);
    else keep(this.store, this.key, JSON.stringify({ message, edits }));
  }
}
