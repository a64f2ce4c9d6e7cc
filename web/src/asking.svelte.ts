/**
 * Requests for answers, from the press to the server's `accepted`. One that cannot be sent now
 * waits: for the connection, or for the end of the answer before it. One whose reply was lost with
 * the connection is sent again.
 */

import type { Sent } from './connection/v1';
import {
  eventOf,
  inConversation,
  isLocal,
  type Order,
  randomId,
  type Request,
  type RequestState,
} from './conversation/requests';
import type { Fault } from './conversation/types';
import { Outbox } from './storage/outbox';
import type { Store } from './storage/store';
import type { OpenThread, Threads } from './threads.svelte';
import type { Accepted, ConversationId, MessageId } from './wire';

export class Asking {
  requests = $state.raw<readonly Request[]>([]);
  private isConnected = false;
  private outbox: Outbox;
  /** Requests on their way whose answers are to be stopped at once. */
  private readonly toStop = new Set<string>();

  constructor(
    private readonly threads: Threads,
    private readonly send: (event: Sent) => boolean,
    private readonly store: Store | null,
    user: string,
    /** Whether the server has everything that was changed of a conversation. */
    private readonly isSettled: (name: string) => boolean = () => true,
  ) {
    this.outbox = new Outbox(store, user);
    this.requests = this.outbox.load();
  }

  /** Another person has signed in. */
  changeUser(user: string): void {
    this.outbox = new Outbox(this.store, user);
    this.requests = this.outbox.load();
  }

  /** The server has told who the person is: what was asked before is theirs. */
  nameUser(user: string): void {
    const asked = this.requests;
    for (const { clientId } of asked) this.outbox.remove(clientId);
    this.changeUser(user);
    for (const request of asked) this.outbox.put(request, Date.now());
    this.requests = [...this.requests, ...asked];
  }

  /** The requests of a thread, oldest first. */
  of(thread: OpenThread): readonly Request[] {
    return this.requests.filter(({ thread: name }) => name === thread.name);
  }

  ask(thread: OpenThread, order: Order): void {
    const state = { kind: 'waiting' } as const;
    const request: Request = { clientId: randomId(), thread: thread.name, order, state };
    this.requests = [...this.requests, request];
    this.outbox.put(request, Date.now());
    this.sendNext(thread);
  }

  isFor(clientId: string, thread: OpenThread): boolean {
    return this.of(thread).some((request) => request.clientId === clientId);
  }

  /** Sends a held or refused request now, or as soon as its turn comes. */
  retry(clientId: string): void {
    this.toStop.delete(clientId);
    this.setState(clientId, { kind: 'waiting' });
    const request = this.requests.find((other) => other.clientId === clientId);
    if (!request) return;
    this.requests = [request, ...this.requests.filter((other) => other !== request)];
    this.sendNextOf(request.thread);
  }

  /** Takes a request back. Returns it, unless it is on its way. */
  takeBack(clientId: string): Request | null {
    const request = this.requests.find((other) => other.clientId === clientId);
    if (!request || request.state.kind === 'sent') return null;
    this.forget(clientId);
    this.sendNextOf(request.thread);
    return request;
  }

  /**
   * A new socket is open. Requests without a reply are sent again at once, because the server takes
   * each request once.
   */
  connected(): void {
    this.isConnected = true;
    for (const request of this.requests)
      if (request.state.kind === 'sent') this.send(eventOf(request));
    for (const name of new Set(this.requests.map(({ thread }) => thread)))
      this.sendNext(this.threads.get(name));
  }

  lost(): void {
    this.isConnected = false;
  }

  /** Whether a request of the thread is on its way to the server. */
  isSending(thread: OpenThread): boolean {
    return this.of(thread).some(({ state }) => state.kind === 'sent');
  }

  /** A person does not want the answer that is being asked for. */
  stopOnceAccepted(thread: OpenThread): void {
    for (const { clientId, state } of this.of(thread))
      if (state.kind === 'sent') this.toStop.add(clientId);
  }

  /** The server has taken a request. Returns what is to become of its answer. */
  accepted(accepted: Accepted): 'run' | 'stop' {
    const { client_id: id, conversation, duplicate } = accepted;
    const request = this.requests.find(({ clientId }) => clientId === id);
    if (!request) return 'run';
    const thread = this.threads.find(request.thread);
    if (thread && isLocal(request.thread)) this.nameThread(thread, conversation);
    if (thread && !duplicate) showAtOnce(thread, request.order, accepted);
    this.forget(id);
    // What the first request has begun may be over, and then nothing more is told.
    if (thread && duplicate) this.threads.reload(thread);
    return this.toStop.delete(id) ? 'stop' : 'run';
  }

  private nameThread(thread: OpenThread, conversation: ConversationId): void {
    const { name } = thread;
    this.threads.named(thread, conversation);
    this.requests = this.requests.map((other) => {
      if (other.thread !== name) return other;
      const moved = inConversation(other, conversation);
      this.outbox.put(moved, Date.now());
      return moved;
    });
  }

  /** The reply to a request is an error. Returns whether the tag is that of one. */
  refused(tag: string, fault: Fault): boolean {
    const request = this.requests.find(({ clientId }) => clientId === tag);
    if (!request) return false;
    this.toStop.delete(tag);
    // Another tab was quicker: its answer has to end first.
    const waits = fault.code === 'answer_running' && request.order.type === 'send';
    this.setState(tag, waits ? { kind: 'waiting' } : { kind: 'refused', fault });
    const thread = this.threads.find(request.thread);
    // If nothing is being written here, this page has missed something.
    if (waits && thread && !thread.isAnswering) this.threads.reload(thread);
    return true;
  }

  /** An error that names no request is about one on its way: it could not be read as a whole. */
  refusedUnread(fault: Fault): void {
    for (const { clientId, state } of this.requests)
      if (state.kind === 'sent') this.refused(clientId, fault);
  }

  /** An answer has ended: the next request goes on its way, unless a person has to decide. */
  answerEnded(thread: OpenThread, isWhole: boolean): void {
    if (!isWhole)
      for (const { clientId, state } of this.of(thread))
        if (state.kind === 'waiting') this.setState(clientId, { kind: 'held' });
    this.sendNext(thread);
  }

  /** Changes of a conversation have reached the server. */
  settled(name: string): void {
    this.sendNextOf(name);
  }

  /** The messages of a thread have come. */
  opened(thread: OpenThread): void {
    this.sendNext(thread);
  }

  /**
   * Another tab has changed what is stored. Requests that are done with are forgotten here, too;
   * new ones are the other tab's affair, as long as it is there.
   */
  storageChanged(event: StorageEvent): void {
    const done = this.outbox.removedIn(event);
    const request = this.requests.find(({ clientId }) => clientId === done);
    // The reply to one that was sent here, too, is still to come.
    if (!request || request.state.kind === 'sent') return;
    this.requests = this.requests.filter((other) => other !== request);
    this.sendNextOf(request.thread);
  }

  private sendNextOf(name: string): void {
    const thread = this.threads.find(name);
    if (thread) this.sendNext(thread);
  }

  private sendNext(thread: OpenThread): void {
    if (!this.isConnected) return;
    const next = this.of(thread)[0];
    if (next?.state.kind !== 'waiting' || !this.isTurnOf(thread)) return;
    if (this.send(eventOf(next, parentOf(thread)))) this.setState(next.clientId, { kind: 'sent' });
  }

  private isTurnOf(thread: OpenThread): boolean {
    if (isLocal(thread.name)) return true;
    // The settings that were just changed are to count for what is asked next.
    return thread.state.isLoaded && !thread.isAnswering && this.isSettled(thread.name);
  }

  private setState(clientId: string, state: RequestState): void {
    this.requests = this.requests.map((request) => {
      if (request.clientId !== clientId) return request;
      const changed = { ...request, state };
      this.outbox.put(changed, Date.now());
      return changed;
    });
  }

  private forget(clientId: string): void {
    this.requests = this.requests.filter((request) => request.clientId !== clientId);
    this.outbox.remove(clientId);
  }
}

/**
 * Where a message goes if the person looks at another branch than the server knows of yet;
 * otherwise the server puts it at the end of the current branch.
 */
function parentOf({ state }: OpenThread): MessageId | undefined {
  const { leaf, summary, tree } = state;
  const isKnown = summary === null || leaf === null || summary.leaf === leaf;
  return isKnown || tree.get(leaf)?.role !== 'assistant' ? undefined : leaf;
}

/** Shows what was accepted until the server's own words for it come, so that nothing flickers. */
function showAtOnce(thread: OpenThread, order: Order, accepted: Accepted): void {
  const { message, answer, parent } = accepted;
  const created_ms = Date.now();
  if (message !== null && (order.type === 'send' || order.type === 'edit')) {
    const { text } = order;
    thread.dispatch({
      kind: 'message',
      message: { id: message, parent, role: 'user', text, created_ms },
    });
  }
  if (order.type === 'continue') return;
  const asked = message ?? parent;
  thread.dispatch({
    kind: 'message',
    message: {
      id: answer,
      parent: asked,
      role: 'assistant',
      text: '',
      state: 'waiting',
      created_ms,
    },
  });
}
