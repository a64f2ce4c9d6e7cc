/**
 * What is said over one connection, on the page as in the widget: events of the server change
 * threads, and what a person asks becomes requests.
 */

import { Asking } from './asking.svelte';
import type { Received, Sent } from './connection/v1';
import { outcomeOf } from './conversation/outcome';
import { mark } from './marks';
import type { Store } from './storage/store';
import { type OpenThread, Threads } from './threads.svelte';
import type { MessageId } from './wire';

export interface TalkEvents {
  /** The messages of a thread have come. */
  loaded(thread: OpenThread): void;
  ended(thread: OpenThread, answer: MessageId): void;
  /** The server has taken a request; a new thread has its conversation's id by now. */
  accepted(thread: OpenThread): void;
}

export class Talk {
  readonly threads: Threads;
  readonly asking: Asking;

  constructor(
    private readonly send: (event: Sent) => boolean,
    kept: { readonly store: Store | null; readonly user: string },
    private readonly events: TalkEvents,
    /** Whether the server has everything that was changed of a conversation. */
    isSettled: (name: string) => boolean = () => true,
  ) {
    this.threads = new Threads(send, {
      loaded: (thread) => this.threadLoaded(thread),
      ended: (thread, answer) => this.answerEnded(thread, answer),
    });
    this.asking = new Asking(this.threads, send, kept.store, kept.user, isSettled);
  }

  /** A new socket is open. */
  connected(): void {
    this.threads.connected();
    this.asking.connected();
  }

  lost(): void {
    this.asking.lost();
    this.threads.lost();
  }

  /** Whether there is something to stop: an answer, or a request on its way. */
  isBusy(thread: OpenThread): boolean {
    return thread.isAnswering || this.asking.isSending(thread);
  }

  /** Whether nothing of a thread is being asked or answered. */
  isIdle(thread: OpenThread): boolean {
    return !thread.isAnswering && this.asking.of(thread).length === 0;
  }

  /** Stops the answers of a thread, also one that is only asked for. */
  stop(thread: OpenThread): void {
    mark('stopped');
    this.asking.stopOnceAccepted(thread);
    for (const [answer, { stopping }] of thread.state.live) {
      if (stopping) continue;
      // Without a connection it is sent when the answer is there again.
      this.send({ type: 'stop', answer });
      this.threads.flush(thread);
      thread.dispatch({ kind: 'stop_sent', answer });
    }
  }

  take(event: Received): void {
    switch (event.type) {
      case 'accepted': {
        const thread = this.threads.all.find((one) => this.asking.isFor(event.client_id, one));
        if (this.asking.accepted(event) === 'stop')
          this.send({ type: 'stop', answer: event.answer });
        if (thread) this.events.accepted(thread);
        return;
      }
      case 'error':
        if (event.tag === undefined) return this.asking.refusedUnread(event);
        if (!this.asking.refused(event.tag, event)) this.threads.refused(event.tag, event.code);
        return;
      default:
        return this.threads.take(event);
    }
  }

  private threadLoaded(thread: OpenThread): void {
    this.asking.opened(thread);
    for (const [answer, { stopping }] of thread.state.live)
      if (stopping) this.send({ type: 'stop', answer });
    this.events.loaded(thread);
  }

  private answerEnded(thread: OpenThread, answer: MessageId): void {
    const message = thread.state.tree.get(answer);
    const kind = message && outcomeOf(message).kind;
    this.asking.answerEnded(thread, kind === 'complete' || kind === 'cut');
    this.events.ended(thread, answer);
  }
}
