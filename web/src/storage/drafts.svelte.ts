/**
 * What is being written and not sent yet, per conversation: the next message, and changes to
 * earlier ones. It is kept in this browser until it is sent, also when the page is closed.
 *
 * Two tabs may show one conversation. A tab shows what the other one writes until something is
 * written in it, too; from then on its text is its own, and is kept for this tab as well.
 */

import type { Attached } from '../attachments.svelte';
import type { MessageId } from '../wire';
import { NO_SETTINGS, readSettings, type Settings } from './settings';
import { UNKNOWN_USER } from './user';
import { asNumber, isRecord, keep, parseRecord, type Store } from './store';

/** Typing does not wait for storage: a long text would take longer than a key. */
const KEEP_AFTER_MS = 300;

/** The place of the draft of a conversation that is not there yet. */
export const NEW = 'new';

/** A change to an earlier message. */
export interface Edit {
  /** What the person has typed, without the files. */
  readonly text: string;
  /** Files of the message that are left out, by their place among them. */
  readonly leftOut: readonly number[];
}

interface Draft {
  readonly message: string;
  readonly edits: Readonly<Record<MessageId, Edit>>;
  readonly files: readonly Attached[];
  /** Of a conversation that is not there yet. */
  readonly settings: Settings;
}

const EMPTY: Draft = { message: '', edits: {}, files: [], settings: NO_SETTINGS };

export class Drafts {
  private draft = $state.raw<Draft>(EMPTY);
  /** The conversation whose draft this is. */
  place = NEW;
  /** Whether the browser keeps what is written. */
  isKept = $state(true);
  /** Something was written in this tab, and is still there. */
  private isOwn = false;
  private timer: number | null = null;
  /** Conversations that are deleted: nothing of them is kept once they are left. */
  private readonly deleted = new Set<string>();

  constructor(
    /** Of all tabs, for the next visit. */
    private readonly store: Store | null,
    /** Of this tab alone. */
    private readonly ownStore: Store | null,
    private user: string,
  ) {
    this.load();
  }

  /** The next message of the conversation that is shown. */
  get message(): string {
    return this.draft.message;
  }

  /** Changes by the id of the message; one that is here has its editor open. */
  get edits(): Readonly<Record<MessageId, Edit>> {
    return this.draft.edits;
  }

  get files(): readonly Attached[] {
    return this.draft.files;
  }

  get settings(): Settings {
    return this.draft.settings;
  }

  changeUser(user: string): void {
    if (user === this.user) return;
    // What was typed before the server told who is there belongs to the person who is there.
    const typed = this.user === UNKNOWN_USER ? this.draft : EMPTY;
    if (typed === EMPTY) this.flush();
    else this.remove();
    this.user = user;
    this.load();
    if (this.draft.message === '' && !isEmpty(typed)) this.set(typed);
  }

  /** Another conversation is shown. */
  show(place: string): void {
    if (place === this.place) return;
    if (this.deleted.has(this.place)) this.remove();
    else this.flush();
    this.place = place;
    this.load();
  }

  /** The conversation that is shown has got its id. */
  moveTo(place: string): void {
    if (place === this.place) return;
    this.remove();
    this.place = place;
    this.set({ ...this.draft, settings: NO_SETTINGS });
  }

  write(message: string): void {
    this.set({ ...this.draft, message });
  }

  edit(id: MessageId, text: string): void {
    this.setEdit(id, { text, leftOut: this.edits[id]?.leftOut ?? [] });
  }

  /** Takes a file out of an earlier message. */
  leaveOut(id: MessageId, file: number): void {
    const edit = this.edits[id];
    if (edit) this.setEdit(id, { ...edit, leftOut: [...edit.leftOut, file] });
  }

  endEdit(id: MessageId): void {
    const { [id]: _, ...edits } = this.edits;
    this.set({ ...this.draft, edits });
  }

  changeFiles(files: readonly Attached[]): void {
    this.set({ ...this.draft, files });
  }

  changeSettings(settings: Settings): void {
    this.set({ ...this.draft, settings });
  }

  /** A conversation was deleted. What is written for it stays as long as it is shown. */
  forget(place: string): void {
    this.deleted.add(place);
    if (place === this.place) return;
    for (const store of this.stores) store?.removeItem(this.keyOf(place));
  }

  /** The person has signed out: nothing is kept any more. */
  abandon(): void {
    this.remove();
    this.user = UNKNOWN_USER;
    this.draft = EMPTY;
  }

  /**
   * Takes over what another tab has written in the same place, unless something is written here.
   */
  storageChanged({ key, newValue }: StorageEvent): void {
    if (key !== this.key) return;
    if (!this.isOwn) this.draft = readDraft(newValue);
    // The other tab has sent its text or deleted it. This one's is still to be kept.
    else if (newValue === null) this.saveSoon();
  }

  /** Saves unsaved changes. */
  flush(): void {
    if (this.timer !== null) this.save();
  }

  private get stores(): readonly (Store | null)[] {
    return [this.store, this.ownStore];
  }

  private get key(): string {
    return this.keyOf(this.place);
  }

  private keyOf(place: string): string {
    return `banter.drafts.${this.user}.${place}`;
  }

  private setEdit(id: MessageId, edit: Edit): void {
    this.set({ ...this.draft, edits: { ...this.edits, [id]: edit } });
  }

  private set(draft: Draft): void {
    this.draft = draft;
    this.isOwn = !isEmpty(draft);
    this.saveSoon();
  }

  private saveSoon(): void {
    this.timer ??= window.setTimeout(() => this.save(), KEEP_AFTER_MS);
  }

  private load(): void {
    const own = this.ownStore?.getItem(this.key) ?? null;
    this.isOwn = own !== null;
    this.draft = readDraft(own ?? this.store?.getItem(this.key) ?? null);
  }

  private save(): void {
    if (isEmpty(this.draft)) return this.remove();
    this.endTimer();
    const json = JSON.stringify(this.draft);
    this.isKept = keep(this.store, this.key, json);
    keep(this.ownStore, this.key, json);
  }

  private remove(): void {
    this.endTimer();
    this.isKept = true;
    for (const store of this.stores) store?.removeItem(this.key);
  }

  private endTimer(): void {
    if (this.timer !== null) window.clearTimeout(this.timer);
    this.timer = null;
  }
}

function isEmpty({ message, edits, files, settings }: Draft): boolean {
  const hasText = message !== '' || Object.keys(edits).length > 0 || files.length > 0;
  return !hasText && settings === NO_SETTINGS;
}

function readFile(value: unknown): Attached[] {
  if (!isRecord(value) || typeof value.name !== 'string' || typeof value.text !== 'string')
    return [];
  return [{ name: value.name, text: value.text, tokens: asNumber(value.tokens) }];
}

function readEdit(value: unknown): Edit[] {
  if (!isRecord(value) || typeof value.text !== 'string') return [];
  const leftOut: unknown[] = Array.isArray(value.leftOut) ? value.leftOut : [];
  return [{ text: value.text, leftOut: leftOut.map(asNumber).filter((at) => at !== null) }];
}

function readDraft(json: string | null): Draft {
  const saved = parseRecord(json);
  if (!saved) return EMPTY;
  const edits = isRecord(saved.edits) ? Object.entries(saved.edits) : [];
  return {
    message: typeof saved.message === 'string' ? saved.message : '',
    edits: Object.fromEntries(
      edits.flatMap(([id, edit]) => readEdit(edit).map((read) => [id, read])),
    ),
    files: Array.isArray(saved.files) ? saved.files.flatMap(readFile) : [],
    settings: readSettings(saved.settings),
  };
}
