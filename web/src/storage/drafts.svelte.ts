/**
 * What is being written and not sent yet, per conversation: the next message, and changes to earlier
 * ones. It is kept in this browser until it is sent, also when the page is closed.
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

interface Draft {
  readonly message: string;
  readonly edits: Readonly<Record<MessageId, string>>;
  readonly files: readonly Attached[];
  /** Of a conversation that is not there yet. */
  readonly settings: Settings;
}

const EMPTY: Draft = { message: '', edits: {}, files: [], settings: NO_SETTINGS };

export class Drafts {
  private draft = $state.raw<Draft>(EMPTY);
  /** The conversation whose draft this is. */
  place = NEW;
  private timer: number | null = null;

  constructor(
    private readonly store: Store | null,
    private user: string,
  ) {
    this.draft = this.load();
  }

  /** The next message of the conversation that is shown. */
  get message(): string {
    return this.draft.message;
  }

  /** Changed texts by the id of the message; one that is here has its editor open. */
  get edits(): Readonly<Record<MessageId, string>> {
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
    this.draft = this.load();
    if (this.draft.message === '' && !isEmpty(typed)) this.set(typed);
  }

  /** Another conversation is shown. */
  show(place: string): void {
    if (place === this.place) return;
    this.flush();
    this.place = place;
    this.draft = this.load();
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
    this.set({ ...this.draft, edits: { ...this.edits, [id]: text } });
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

  /** Takes over what another tab has written in the same place, unless something is written here. */
  storageChanged({ key, newValue }: StorageEvent): void {
    if (key === this.key && this.timer === null) this.draft = readDraft(newValue);
  }

  /** Saves unsaved changes. */
  flush(): void {
    if (this.timer !== null) this.save();
  }

  private get key(): string {
    return `banter.drafts.${this.user}.${this.place}`;
  }

  private set(draft: Draft): void {
    this.draft = draft;
    this.timer ??= window.setTimeout(() => this.save(), KEEP_AFTER_MS);
  }

  private load(): Draft {
    return readDraft(this.store?.getItem(this.key) ?? null);
  }

  private save(): void {
    if (this.timer !== null) window.clearTimeout(this.timer);
    this.timer = null;
    if (isEmpty(this.draft)) this.store?.removeItem(this.key);
    else keep(this.store, this.key, JSON.stringify(this.draft));
  }

  private remove(): void {
    if (this.timer !== null) window.clearTimeout(this.timer);
    this.timer = null;
    this.store?.removeItem(this.key);
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

function readDraft(json: string | null): Draft {
  const saved = parseRecord(json);
  if (!saved) return EMPTY;
  const edits = isRecord(saved.edits) ? Object.entries(saved.edits) : [];
  return {
    message: typeof saved.message === 'string' ? saved.message : '',
    edits: Object.fromEntries(
      edits.filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
    ),
    files: Array.isArray(saved.files) ? saved.files.flatMap(readFile) : [],
    settings: readSettings(saved.settings),
  };
}
