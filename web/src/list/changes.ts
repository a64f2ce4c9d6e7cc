/**
 * Changes of conversations on their way to the server. They are shown at once. Of each conversation
 * one request is on its way at a time, and what is changed meanwhile goes with the next one, so the
 * server gets the changes in their order. Without an answer they wait for the connection; what the
 * server refuses is taken back.
 */

import type { Conversation, ConversationId, ConversationPatch } from '../wire';

export type Reply = 'changed' | 'refused' | 'no answer';

export interface ChangesEvents {
  send(id: ConversationId, patch: ConversationPatch): Promise<Reply>;
  /** The conversation looks like this from now on. */
  show(summary: Conversation): void;
  /** The server could not be reached; `connected` is to be called when it may be there again. */
  unanswered(): void;
  /** Nothing of the conversation is on its way any more. */
  settled(id: ConversationId): void;
  /** The server has refused a change. */
  refused(summary: Conversation): void;
}

interface Pending {
  /** As the server has it. */
  stored: Conversation;
  /** On its way. */
  sent: ConversationPatch | null;
  /** What goes next. */
  waiting: ConversationPatch;
}

export class Changes {
  private readonly pending = new Map<ConversationId, Pending>();

  constructor(private readonly events: ChangesEvents) {}

  /** Shows a change and sends it. Resolves once nothing is on its way any more. */
  change(summary: Conversation, patch: ConversationPatch): Promise<void> {
    const pending = this.pending.get(summary.id) ?? { stored: summary, sent: null, waiting: {} };
    pending.waiting = { ...pending.waiting, ...patch };
    this.pending.set(summary.id, pending);
    this.events.show(shownOf(pending));
    return this.send(pending);
  }

  /** What is to be shown of a summary that has come from the server. */
  over(summary: Conversation): Conversation {
    const pending = this.pending.get(summary.id);
    if (!pending) return summary;
    pending.stored = summary;
    return shownOf(pending);
  }

  /** Whether the server may not have everything yet. */
  isPending(id: ConversationId): boolean {
    return this.pending.has(id);
  }

  /** The server can be reached again. */
  async connected(): Promise<void> {
    await Promise.all([...this.pending.values()].map((pending) => this.send(pending)));
  }

  /** The conversation is deleted, and so is what would have been changed. */
  forget(id: ConversationId): void {
    this.pending.delete(id);
  }

  /** Somebody else has signed in. */
  forgetAll(): void {
    this.pending.clear();
  }

  private async send(pending: Pending): Promise<void> {
    const { id } = pending.stored;
    while (pending.sent === null && Object.keys(pending.waiting).length > 0) {
      const patch = (pending.sent = pending.waiting);
      pending.waiting = {};
      const reply = await this.events.send(id, patch);
      pending.sent = null;
      if (this.pending.get(id) !== pending) return;
      if (reply === 'no answer') {
        pending.waiting = { ...patch, ...pending.waiting };
        return this.events.unanswered();
      }
      if (reply === 'changed') pending.stored = merged(pending.stored, patch);
      else this.events.refused(pending.stored);
      const isLast = Object.keys(pending.waiting).length === 0;
      if (isLast) this.pending.delete(id);
      this.events.show(shownOf(pending));
      if (isLast) this.events.settled(id);
    }
  }
}

function shownOf({ stored, sent, waiting }: Pending): Conversation {
  return merged(merged(stored, sent ?? {}), waiting);
}

/**
 * A summary with a change. The current branch is the server's until it has said so itself: a
 * message that is sent before names its parent.
 */
function merged(summary: Conversation, patch: ConversationPatch): Conversation {
  const { parameters, leaf: _, ...others } = patch;
  const changed = { ...summary, ...others };
  return parameters === undefined ? changed : { ...changed, parameters: parameters ?? {} };
}
