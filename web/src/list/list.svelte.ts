/** The list of conversations, and what a search in them has found. */

import type { ConversationsApi } from '../connection/conversations';
import type { Changed, Conversation, ConversationId, SearchHit } from '../wire';
import { sorted } from './order';

/** A deletion can be undone for this long. */
const UNDO_MS = 8_000;
/** A search waits until the typing pauses. */
const SEARCH_AFTER_MS = 150;

export type SearchState =
  | { kind: 'none' }
  | { kind: 'searching' }
  | { kind: 'found'; hits: readonly SearchHit[]; more: boolean }
  | { kind: 'failed' };

/** A deletion that can be undone. */
export interface Deletion {
  readonly conversation: Conversation;
  readonly timer: number;
}

export class List {
  private byId = $state.raw<ReadonlyMap<ConversationId, Conversation>>(new Map());
  /** Whether the first page has come. */
  isLoaded = $state(false);
  /** What the next page comes after; `null` after the last one. */
  private next = $state.raw<string | null>(null);
  /** Whether the archived ones are listed instead of the others. */
  archived = $state(false);
  searchText = $state('');
  search = $state.raw<SearchState>({ kind: 'none' });
  deletion = $state.raw<Deletion | null>(null);

  private loading = 0;
  private searchTimer: number | null = null;

  constructor(private readonly api: ConversationsApi) {}

  readonly shown = $derived.by(() => {
    const hidden = this.deletion?.conversation.id;
    const listed = [...this.byId.values()].filter(
      ({ id, archived }) => id !== hidden && archived === this.archived,
    );
    return sorted(listed);
  });

  get hasMore(): boolean {
    return this.next !== null;
  }

  get(id: ConversationId): Conversation | undefined {
    return this.byId.get(id);
  }

  /** Loads the first page anew: meanwhile anything may have happened. */
  async load(): Promise<void> {
    this.loading += 1;
    const { loading } = this;
    const page = await this.api.list(null, this.archived);
    if (!page || loading !== this.loading) return;
    this.byId = new Map(page.conversations.map((one) => [one.id, one]));
    this.next = page.next;
    this.isLoaded = true;
  }

  async loadMore(): Promise<void> {
    const { loading, next } = this;
    if (next === null) return;
    const page = await this.api.list(next, this.archived);
    if (!page || loading !== this.loading || next !== this.next) return;
    const byId = new Map(this.byId);
    for (const one of page.conversations) byId.set(one.id, one);
    this.byId = byId;
    this.next = page.next;
  }

  showArchived(archived: boolean): void {
    this.archived = archived;
    this.byId = new Map();
    this.isLoaded = false;
    void this.load();
  }

  /** Somebody else has signed in. */
  forget(): void {
    this.loading += 1;
    this.byId = new Map();
    this.isLoaded = false;
    this.find('');
  }

  changed({ conversation, summary }: Changed): void {
    const byId = new Map(this.byId);
    if (summary) byId.set(conversation, summary);
    else byId.delete(conversation);
    this.byId = byId;
    if (!summary && this.search.kind === 'found') {
      const hits = this.search.hits.filter((hit) => hit.conversation.id !== conversation);
      this.search = { ...this.search, hits };
    }
  }

  /** Looks for a text; an empty one ends the search. */
  find(text: string): void {
    this.searchText = text;
    if (this.searchTimer !== null) window.clearTimeout(this.searchTimer);
    this.searchTimer = null;
    if (text.trim() === '') {
      this.search = { kind: 'none' };
      return;
    }
    if (this.search.kind !== 'found') this.search = { kind: 'searching' };
    this.searchTimer = window.setTimeout(() => void this.findNow(text), SEARCH_AFTER_MS);
  }

  rename(id: ConversationId, title: string): Promise<boolean> {
    return this.api.change(id, { title: title.trim() === '' ? null : title.trim() });
  }

  pin(id: ConversationId, pinned: boolean): Promise<boolean> {
    return this.api.change(id, { pinned });
  }

  archive(id: ConversationId, archived: boolean): Promise<boolean> {
    return this.api.change(id, { archived });
  }

  /** Deletes a conversation, after a time in which it can be undone. */
  remove(conversation: Conversation): void {
    this.removeNow();
    const timer = window.setTimeout(() => this.removeNow(), UNDO_MS);
    this.deletion = { conversation, timer };
  }

  undoRemove(): Conversation | null {
    const { deletion } = this;
    if (!deletion) return null;
    window.clearTimeout(deletion.timer);
    this.deletion = null;
    return deletion.conversation;
  }

  /** Deletes at once what could still be undone, for example because the page closes. */
  removeNow(): void {
    const { deletion } = this;
    if (!deletion) return;
    window.clearTimeout(deletion.timer);
    void this.api.remove(deletion.conversation.id);
    const byId = new Map(this.byId);
    byId.delete(deletion.conversation.id);
    this.byId = byId;
    this.deletion = null;
  }

  private async findNow(text: string): Promise<void> {
    const results = await this.api.search(text);
    if (text !== this.searchText) return;
    this.search = results
      ? { kind: 'found', hits: results.hits, more: results.more }
      : { kind: 'failed' };
  }
}
