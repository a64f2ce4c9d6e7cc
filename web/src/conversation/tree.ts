/**
 * The messages of a conversation on all its branches. Each message knows the one before it;
 * messages with one parent are versions of each other. A tree is never changed in place.
 */

import type { Message, MessageId, RemovedPair } from '../wire';

type Messages = ReadonlyMap<MessageId, Message>;
type Children = ReadonlyMap<MessageId | null, readonly MessageId[]>;

export class Tree {
  static readonly EMPTY = new Tree(new Map(), new Map());

  private constructor(
    readonly messages: Messages,
    private readonly children: Children,
  ) {}

  /** Messages in the order in which they were added. */
  static of(messages: Iterable<Message>): Tree {
    const byId = new Map<MessageId, Message>();
    for (const message of messages) byId.set(message.id, message);
    return new Tree(byId, childrenOf(byId.values()));
  }

  get(id: MessageId): Message | undefined {
    return this.messages.get(id);
  }

  /** Adds a message, or replaces the one with its id. */
  with(message: Message): Tree {
    const messages = new Map(this.messages).set(message.id, message);
    const isKnown = this.messages.get(message.id)?.parent === message.parent;
    return new Tree(messages, isKnown ? this.children : childrenOf(messages.values()));
  }

  /** Takes away a message and all that follows it. */
  without(id: MessageId): Tree {
    const gone = new Set<MessageId>();
    const left = [id];
    for (let next = left.pop(); next !== undefined; next = left.pop()) {
      gone.add(next);
      left.push(...this.following(next));
    }
    return Tree.of([...this.messages.values()].filter((message) => !gone.has(message.id)));
  }

  /** Takes away a question with its answers; what followed them comes after its parent. */
  withoutPair({ messages, parent }: RemovedPair): Tree {
    const gone = new Set<MessageId | null>(messages);
    const left = [...this.messages.values()].filter(({ id }) => !gone.has(id));
    return Tree.of(left.map((one) => (gone.has(one.parent) ? { ...one, parent } : one)));
  }

  /** The messages that come directly after one, oldest first; `null` for the first ones. */
  following(id: MessageId | null): readonly MessageId[] {
    return this.children.get(id) ?? [];
  }

  /** The messages from the first one to `leaf`. */
  branch(leaf: MessageId | null): Message[] {
    const messages: Message[] = [];
    for (let next = leaf; next !== null;) {
      const message = this.messages.get(next);
      // A parent that is not there, or a circle, would be a fault of the server.
      if (!message || messages.length >= this.messages.size) break;
      messages.push(message);
      next = message.parent;
    }
    return messages.reverse();
  }

  /** All versions of a message, itself included, oldest first. */
  versions(id: MessageId): readonly MessageId[] {
    const message = this.messages.get(id);
    return message ? this.following(message.parent) : [];
  }

  /** The end of the branch that goes on from `id` by the newest version each time. */
  newestBelow(id: MessageId): MessageId {
    let end = id;
    for (let next = this.following(end).at(-1); next !== undefined;)
      next = this.following((end = next)).at(-1);
    return end;
  }
}

function childrenOf(messages: Iterable<Message>): Children {
  const children = new Map<MessageId | null, MessageId[]>();
  for (const { id, parent } of messages) {
    const siblings = children.get(parent);
    if (siblings) siblings.push(id);
    else children.set(parent, [id]);
  }
  return children;
}
