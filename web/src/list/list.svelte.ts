/** The list of conversations, and what a search in them has found. */

import type { ConversationsApi } from '../connection/conversations';
import type { Changed, Conversation, ConversationId, SearchHit } from '../wire';
import { sorted } from './order';

/** A deletion can be undone for this long. */
const UNDO_MS = 8_000;
/** A page that did not come is asked for again after this long. */
const ASK_AGAIN_MS = 2_000;
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
  readonly decided: (how: Removal) => void;
}

/** What has become of a deletion. */
export type Removal = 'deleted' | 'undone' | 'failed';

type Conversations = ReadonlyMap<ConversationId, Conversation>;

export class List {
  private byId = $state.raw<Conversations>(new Map());
  /** Whether the first page has come. */
  isLoaded = $state(false);
  /** What the next page comes after; `null` after the last one. */
  private next = $state.raw<string | null>(null);
  /** Whether the archived ones are listed instead of the others. */
  archived = $state(false);
  searchText = $state('');
  search = $state.raw<SearchState>({ kind: 'none' });
  deletion = $state.raw<Deletion | null>(null);

  /** Raised when what is being loaded is not wanted any more. */
  private loading = 0;
  /** For each page that is being loaded: what has changed since it was asked for. */
  private readonly meanwhile = new Set<Changed[]>();
  private searchTimer: number | null = null;
  private againTimer: number | null = null;

  constructor(
    private readonly api: ConversationsApi,
    /** What is to be shown of a summary that has come from the server. */
    private readonly over: (summary: Conversation) => Conversation = (summary) => summary,
  ) {}

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

  /** Where the loaded part of the list ends. */
  get place(): string | null {
    return this.next;
  }

  get(id: ConversationId): Conversation | undefined {
    return this.byId.get(id);
  }

  /** Loads the first page anew: meanwhile anything may have happened. */
  async load(): Promise<void> {
    this.loading += 1;
    await this.loadPage(null);
  }

  async loadMore(): Promise<void> {
    if (this.next !== null) await this.loadPage(this.next);
  }

  showArchived(archived: boolean): void {
    this.archived = archived;
    this.byId = new Map();
    this.isLoaded = false;
    void this.load();
  }

  /** The server cannot be reached: once it can, everything is loaded anew. */
  lost(): void {
    this.loading += 1;
    this.askNoMore();
  }

  /** Somebody else has signed in. What was deleted is deleted. */
  forget(): void {
    void this.removeNow();
    this.lost();
    this.byId = new Map();
    this.next = null;
    this.archived = false;
    this.isLoaded = false;
    this.find('');
  }

  /** Takes what the server tells of a conversation. */
  changed(event: Changed): void {
    for (const changes of this.meanwhile) changes.push(event);
    this.byId = withChange(this.byId, event);
    this.keepIfUsed(event);
    const isDeleted = !event.summary;
    if (isDeleted && this.search.kind === 'found') {
      const hits = this.search.hits.filter((hit) => hit.conversation.id !== event.conversation);
      this.search = { ...this.search, hits };
    }
  }

  /** A listed conversation looks like this from now on. */
  show(summary: Conversation): void {
    if (this.byId.has(summary.id)) this.byId = new Map(this.byId).set(summary.id, summary);
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

  /**
   * Deletes a conversation, after a time in which it can be undone. Resolves when that is decided.
   */
  async remove(conversation: Conversation): Promise<Removal> {
    void this.removeNow();
    return new Promise((resolve) => {
      const timer = window.setTimeout(() => void this.removeNow(), UNDO_MS);
      this.deletion = { conversation, timer, decided: resolve };
    });
  }

  undoRemove(): Conversation | null {
    const { deletion } = this;
    if (!deletion) return null;
    window.clearTimeout(deletion.timer);
    this.deletion = null;
    deletion.decided('undone');
    return deletion.conversation;
  }

  /** Deletes at once what could still be undone, for example because the page closes. */
  async removeNow(): Promise<void> {
    const { deletion } = this;
    if (!deletion) return;
    const { conversation, timer, decided } = deletion;
    window.clearTimeout(timer);
    const { id } = conversation;
    this.changed({ conversation: id, change: 'deleted' });
    this.deletion = null;
    const isDeleted = await this.api.remove(id);
    if (!isDeleted) this.changed({ conversation: id, change: 'updated', summary: conversation });
    decided(isDeleted ? 'deleted' : 'failed');
  }

  /**
   * Somebody goes on with a conversation that is about to be deleted, in another tab: it is kept.
   */
  private keepIfUsed({ summary }: Changed): void {
    const deleted = this.deletion?.conversation;
    if (summary && deleted?.id === summary.id && summary.messages > deleted.messages)
      this.undoRemove();
  }

  /** Loads the page that comes after a place, or the first one. */
  private async loadPage(after: string | null): Promise<void> {
    const { loading } = this;
    const changes: Changed[] = [];
    this.askNoMore();
    this.meanwhile.add(changes);
    const page = await this.api.list(after, this.archived);
    this.meanwhile.delete(changes);
    if (loading !== this.loading || (after !== null && after !== this.next)) return;
    if (!page) {
      this.againTimer = window.setTimeout(() => void this.loadPage(after), ASK_AGAIN_MS);
      return;
    }
    const loaded = new Map(after === null ? [] : this.byId);
    for (const one of page.conversations) loaded.set(one.id, this.over(one));
    this.byId = changes.reduce(withChange, loaded);
    this.next = page.next;
    this.isLoaded = true;
  }

  private askNoMore(): void {
    if (this.againTimer !== null) window.clearTimeout(this.againTimer);
    this.againTimer = null;
  }

  private async findNow(text: string): Promise<void> {
    const results = await this.api.search(text);
    if (text !== this.searchText) return;
    this.search = results
      ? { kind: 'found', hits: results.hits, more: results.more }
      : { kind: 'failed' };
  }
}

function withChange(
  conversations: Conversations,
  { conversation, summary }: Changed,
): Conversations {
  const changed = new Map(conversations);
  if (summary) changed.set(conversation, summary);
  else changed.delete(conversation);
  return changed;
}
