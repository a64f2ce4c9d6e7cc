/**
 * The conversations that this page follows. Events of the server change them; what is drawn reads
 * them.
 */

import type { Received, Sent } from './connection/v1';
import { Arriving } from './conversation/arriving';
import { isLive } from './conversation/live';
import { isLocal } from './conversation/requests';
import { markDrawn } from './marks';
import type { ReadingPlace } from './reading_place';
import { EMPTY_THREAD, reduce, type Thread, type ThreadEvent } from './conversation/thread';
import type {
  Conversation,
  ConversationId,
  Delta,
  ErrorCode,
  Finished,
  Message,
  MessageId,
} from './wire';

/** Conversations that were shown before are kept up to date: it is quick to come back to them. */
const KEPT = 8;
/** After an error that may pass. */
const ASK_AGAIN_MS = 2_000;

/** A conversation that this page has open. */
export class OpenThread {
  /** The conversation's id, or a name of our own until it has one. */
  name = $state('');
  state = $state.raw<Thread>(EMPTY_THREAD);
  // Parts of the state that stay the same while words come: what reads them alone is not drawn
  // anew.
  readonly summary = $derived(this.state.summary);
  readonly fit = $derived(this.state.fit);
  readonly thoughtSeconds = $derived(this.state.thoughtSeconds);
  readonly isLoaded = $derived(this.state.isLoaded);
  readonly tree = $derived(this.state.tree);
  readonly leaf = $derived(this.state.leaf);
  readonly branch = $derived(this.tree.branch(this.leaf));
  readonly isAnswering = $derived(this.state.live.size > 0);
  /** The server does not know it, or not any more. */
  isGone = $state(false);
  /** Messages that have come of all that `open` asks for. */
  arrived: Message[] | null = null;
  readonly arriving = new Map<MessageId, Arriving>();
  /** The summary for the messages that are on their way. */
  opened: Conversation | null = null;
  shownAtMs = 0;
  /** Where it was read when another one was shown; `null` for its end. */
  place: ReadingPlace | null = null;

  constructor(name: string) {
    this.name = name;
  }

  dispatch(event: ThreadEvent): void {
    this.state = reduce(this.state, event);
  }
}

export interface ThreadsEvents {
  /** The messages of a thread have come. */
  loaded(thread: OpenThread): void;
  ended(thread: OpenThread, answer: MessageId): void;
}

export class Threads {
  private open = $state.raw<readonly OpenThread[]>([]);
  private isConnected = false;

  constructor(
    private readonly send: (event: Sent) => boolean,
    private readonly events: ThreadsEvents,
    private readonly nowMs: () => number = () => performance.now(),
  ) {}

  get all(): readonly OpenThread[] {
    return this.open;
  }

  find(name: string): OpenThread | undefined {
    return this.open.find((thread) => thread.name === name);
  }

  /** The thread of a conversation; it is followed from now on. */
  get(name: string): OpenThread {
    const known = this.find(name);
    if (known) return known;
    const thread = new OpenThread(name);
    this.adopt(thread);
    if (this.isConnected) this.ask(thread);
    return thread;
  }

  /** From now on events change the thread. */
  adopt(thread: OpenThread): void {
    if (!this.open.includes(thread)) this.open = [...this.open, thread];
  }

  /** The thread is the one on the page; others that have nothing to do may be let go. */
  shown(thread: OpenThread, isNeeded: (thread: OpenThread) => boolean): void {
    thread.shownAtMs = this.nowMs();
    const idle = this.open.filter(
      (other) => other !== thread && !other.isAnswering && !isNeeded(other),
    );
    idle.sort((a, b) => b.shownAtMs - a.shownAtMs);
    for (const other of idle.slice(KEPT)) this.close(other);
  }

  /** The server has made the conversation of a new thread. */
  named(thread: OpenThread, conversation: ConversationId): void {
    const twin = this.find(conversation);
    if (twin && twin !== thread) this.open = this.open.filter((other) => other !== twin);
    thread.name = conversation;
    thread.dispatch({ kind: 'messages_follow' });
  }

  /** Asks for all of a conversation again. */
  reload(thread: OpenThread): void {
    this.ask(thread);
  }

  /** A new socket is open: everything is asked for again. */
  connected(): void {
    this.isConnected = true;
    for (const thread of this.open) this.ask(thread);
  }

  lost(): void {
    this.isConnected = false;
    for (const thread of this.open) {
      thread.arrived = null;
      this.flush(thread);
      thread.dispatch({ kind: 'lost' });
    }
  }

  /** Somebody else has signed in. */
  forgetAll(): void {
    this.open = [];
  }

  flush(thread: OpenThread): void {
    for (const arriving of thread.arriving.values()) arriving.flush();
  }

  /** Takes an event about a conversation. */
  take(event: Received): void {
    if (!('conversation' in event)) return;
    const id = typeof event.conversation === 'string' ? event.conversation : event.conversation.id;
    const thread = this.find(id);
    if (thread) this.change(thread, event);
  }

  /**
   * The reply to `open` is an error. One that may pass is no reason to give the conversation up.
   */
  refused(tag: string, code: ErrorCode): void {
    const thread = this.find(tag);
    if (!thread) return;
    // An address may name what is no conversation's id at all.
    thread.isGone = code === 'unknown_conversation' || code === 'invalid_parameter';
    if (!thread.isGone) window.setTimeout(() => this.askIfMissing(thread), ASK_AGAIN_MS);
  }

  private change(thread: OpenThread, event: Received): void {
    switch (event.type) {
      case 'opened':
        thread.isGone = false;
        thread.opened = event.conversation;
        thread.arrived = [];
        return;
      case 'messages':
        return this.addMessages(thread, event.messages, event.more);
      case 'message':
        return this.addMessage(thread, event.message);
      case 'delta':
        return this.addPiece(thread, 'words', event);
      case 'thinking':
        return this.addPiece(thread, 'thinking', event);
      case 'finished':
        return this.finish(thread, event);
      case 'changed':
        if (event.removed) thread.dispatch({ kind: 'removed', id: event.removed });
        if (event.removed_pair) thread.dispatch({ kind: 'removed_pair', pair: event.removed_pair });
        if (event.summary) thread.dispatch({ kind: 'summary', summary: event.summary });
        if (event.change === 'deleted') thread.isGone = true;
        return;
      case 'queued':
      case 'prefill':
      case 'context':
        return thread.dispatch({ kind: event.type, ...event } as ThreadEvent);
    }
  }

  private addMessages(thread: OpenThread, messages: readonly Message[], more: boolean): void {
    const { arrived, opened } = thread;
    if (!arrived || !opened) return;
    arrived.push(...messages);
    if (more) return;
    thread.arrived = null;
    this.flush(thread);
    thread.arriving.clear();
    for (const message of arrived) if (isLive(message)) this.expectPieces(thread, message);
    const before = [...thread.state.live.keys()];
    thread.dispatch({ kind: 'opened', summary: opened, messages: arrived });
    // Answers may have ended while the page was not connected.
    for (const answer of before)
      if (!thread.state.live.has(answer)) this.events.ended(thread, answer);
    this.events.loaded(thread);
  }

  private addMessage(thread: OpenThread, message: Message): void {
    this.flush(thread);
    if (isLive(message)) this.expectPieces(thread, message);
    thread.dispatch({ kind: 'message', message });
  }

  private expectPieces(thread: OpenThread, message: Message): void {
    const answer = message.id;
    const draw = (kind: 'words' | 'thinking', text: string) => {
      thread.dispatch({ kind, answer, text, nowMs: this.nowMs() });
      markDrawn();
    };
    thread.arriving.set(answer, new Arriving(message, draw));
  }

  private addPiece(thread: OpenThread, kind: 'words' | 'thinking', delta: Delta): void {
    const arriving = thread.arriving.get(delta.answer);
    if (!arriving || arriving.add(kind, delta)) return;
    // A piece that does not fit would be a fault; the whole text is asked for again, once.
    thread.arriving.delete(delta.answer);
    this.ask(thread);
  }

  private finish(thread: OpenThread, event: Finished & Received & { type: 'finished' }): void {
    const arriving = thread.arriving.get(event.answer);
    if (!arriving) return;
    arriving.flush();
    thread.arriving.delete(event.answer);
    thread.dispatch({ ...event, kind: 'finished' });
    if (!arriving.hasAll(event.bytes, event.thinking_bytes)) this.ask(thread);
    this.events.ended(thread, event.answer);
  }

  private askIfMissing(thread: OpenThread): void {
    const isMissing = this.isConnected && !thread.state.isLoaded && this.open.includes(thread);
    if (isMissing) this.ask(thread);
  }

  private ask(thread: OpenThread): void {
    if (isLocal(thread.name)) return;
    thread.arrived = null;
    this.send({ type: 'open', conversation: thread.name, tag: thread.name });
  }

  private close(thread: OpenThread): void {
    this.open = this.open.filter((other) => other !== thread);
    if (!isLocal(thread.name)) this.send({ type: 'close', conversation: thread.name });
  }
}
