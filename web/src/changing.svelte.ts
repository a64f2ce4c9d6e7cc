/**
 * What people change of conversations besides asking: titles, places in the list, settings, the
 * current branch, and deletions. The person is told if the server refuses one.
 */

import type { ConversationsApi } from './connection/conversations';
import { Changes } from './list/changes';
import type { List } from './list/list.svelte';
import type { Threads } from './threads.svelte';
import type { Conversation, ConversationId, ConversationPatch, MessageId } from './wire';

/** For changes that the server has not answered. */
const TRY_AGAIN_MS = 5_000;

/** What did not succeed, and what it was about. */
export interface Failure {
  readonly what: 'change' | 'delete' | 'delete_pair' | 'sign_out' | 'take_over';
  readonly title: string | null;
}

export class Changing {
  /** Shown until somebody has read it. */
  failure = $state.raw<Failure | null>(null);
  private readonly changes: Changes;
  private timer: number | null = null;

  constructor(
    private readonly api: ConversationsApi,
    private readonly list: List,
    private readonly threads: Threads,
    /** Nothing of a conversation is on its way any more. */
    settled: (id: ConversationId) => void,
  ) {
    this.changes = new Changes({
      send: (id, patch) => this.api.change(id, patch),
      show: (summary) => this.show(summary),
      unanswered: () => this.trySoon(),
      settled,
      refused: ({ title }) => (this.failure = { what: 'change', title }),
    });
  }

  /** What is to be shown of a summary that has come from the server. */
  over(summary: Conversation): Conversation {
    return this.changes.over(summary);
  }

  /** Whether the server has everything that was changed of a conversation. */
  isSettled(id: ConversationId): boolean {
    return !this.changes.isPending(id);
  }

  change(summary: Conversation, patch: ConversationPatch): Promise<void> {
    return this.changes.change(summary, patch);
  }

  rename(conversation: Conversation, title: string): void {
    void this.change(conversation, { title: title.trim() === '' ? null : title.trim() });
  }

  /** Deletes a conversation, after a time in which it can be undone. */
  async remove(conversation: Conversation): Promise<void> {
    const { id, title } = conversation;
    if ((await this.list.remove(conversation)) !== 'failed') return this.changes.forget(id);
    this.failure = { what: 'delete', title };
  }

  /** Deletes a question with all its answers, and keeps the messages that follow them. */
  async removePair({ id, title }: Conversation, question: MessageId): Promise<void> {
    if (!(await this.api.removePair(id, question))) this.failure = { what: 'delete_pair', title };
  }

  /** The server can be reached again, or may be. */
  connected(): void {
    if (this.timer !== null) window.clearTimeout(this.timer);
    this.timer = null;
    void this.changes.connected();
  }

  deleted(id: ConversationId): void {
    this.changes.forget(id);
  }

  /** Somebody else has signed in. */
  forget(): void {
    this.changes.forgetAll();
    this.failure = null;
  }

  private trySoon(): void {
    this.timer ??= window.setTimeout(() => this.connected(), TRY_AGAIN_MS);
  }

  private show(summary: Conversation): void {
    this.list.show(summary);
    this.threads.find(summary.id)?.dispatch({ kind: 'summary', summary });
  }
}
