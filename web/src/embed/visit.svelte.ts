/** The conversation of a visitor: what the widget shows, and what the visitor does. */

import { addressesOf } from '../connection/address';
import { Link } from '../connection/link';
import { socketOpener } from '../connection/socket_carrier';
import type { Received } from '../connection/v1';
import { isLocal, newThreadName } from '../conversation/requests';
import { byteLength } from '../conversation/arriving';
import type { Phase } from '../conversation/types';
import { Talk } from '../talk.svelte';
import { OpenThread } from '../threads.svelte';
import type { MessageId, Welcome } from '../wire';
import { VisitorEntrance } from './entrance';
import type { Kept } from './kept';

/** Requests that are not sent yet are kept under this name. */
const USER = 'visitor';
/** What an event has beside the text. */
const EVENT_BYTES = 1_000;
/** Until the server has told its limit. */
const DEFAULT_MESSAGE_BYTES = 1 << 20;

export class Visit {
  phase = $state.raw<Phase>({ kind: 'connecting' });
  /** Whether the widget was ever connected; before that nothing can have been lost. */
  everOpen = $state(false);
  thread = $state.raw<OpenThread>(new OpenThread(newThreadName()));
  /** What is written in the field. */
  text = $state('');
  private hasBegun = false;
  private messageBytes = DEFAULT_MESSAGE_BYTES;
  private readonly talk: Talk;
  private readonly link: Link;
  private readonly entrance: VisitorEntrance;
  private readonly listeners = new AbortController();

  constructor(
    host: string,
    key: string,
    private readonly kept: Kept,
  ) {
    this.entrance = new VisitorEntrance(host, key, () => kept.secret());
    const clock = {
      setTimeout: (run: () => void, delayMs: number) => window.setTimeout(run, delayMs),
      clearTimeout: (timer: number) => window.clearTimeout(timer),
      random: Math.random,
    };
    const { socket } = addressesOf(host);
    // The socket belongs to nobody until its hello, so it gets no cookie.
    this.link = new Link(
      [socketOpener(`${socket}?visitor`)],
      this.entrance,
      this.linkEvents(),
      clock,
    );
    const send = this.link.send.bind(this.link);
    this.talk = new Talk(
      send,
      { store: kept.store, user: USER },
      { loaded: () => {}, ended: () => {}, accepted: (thread) => this.accepted(thread) },
    );
    const { requests } = this.talk.asking;
    const name = requests[0]?.thread ?? kept.conversation;
    if (name) this.thread = this.talk.threads.get(name);
  }

  /** Connects, once. Nothing is asked of the server before somebody wants to talk. */
  begin(): void {
    if (this.hasBegun) return;
    this.hasBegun = true;
    this.link.start();
    const { signal } = this.listeners;
    const probe = () => this.phase.kind !== 'locked' && void this.link.probe();
    for (const change of ['online', 'offline']) window.addEventListener(change, probe, { signal });
    const shown = () => document.visibilityState === 'visible' && probe();
    document.addEventListener('visibilitychange', shown, { signal });
  }

  end(): void {
    this.listeners.abort();
    this.link.end();
  }

  get isOpen(): boolean {
    return this.phase.kind === 'open';
  }

  /** Whether nothing was said yet, as far as is known. */
  get isEmpty(): boolean {
    const { name, summary, leaf } = this.thread;
    const isNew = isLocal(name) || (summary !== null && leaf === null);
    return isNew && this.requests.length === 0;
  }

  get isBusy(): boolean {
    return this.talk.isBusy(this.thread);
  }

  get canAsk(): boolean {
    return this.isOpen && this.talk.isIdle(this.thread);
  }

  /** Why nobody is let in; `null` unless that is so. */
  get refusal(): 'page' | 'key' | null {
    if (this.phase.kind !== 'locked') return null;
    return this.entrance.isPageRefused ? 'page' : 'key';
  }

  /** What is asked and not accepted yet. */
  get requests() {
    return this.talk.asking.of(this.thread);
  }

  /** Whether a text is longer than the server takes. */
  exceeds(text: string): boolean {
    return byteLength(JSON.stringify(text)) > this.messageBytes - EVENT_BYTES;
  }

  /** Sends a message, or lets it wait for the connection. Returns whether it was taken. */
  send(text: string): boolean {
    const isPossible = this.refusal === null && !this.thread.isGone && !this.exceeds(text);
    if (text.trim() === '' || !isPossible) return false;
    this.begin();
    this.talk.threads.adopt(this.thread);
    this.talk.asking.ask(this.thread, { type: 'send', text });
    return true;
  }

  sendText(): void {
    if (this.send(this.text)) this.text = '';
  }

  stop(): void {
    this.talk.stop(this.thread);
  }

  regenerate(message: MessageId): void {
    if (this.canAsk) this.talk.asking.ask(this.thread, { type: 'regenerate', message });
  }

  continueAnswer(message: MessageId): void {
    if (this.canAsk) this.talk.asking.ask(this.thread, { type: 'continue', message });
  }

  /** Sends a held or refused request again. */
  retryRequest(clientId: string): void {
    this.talk.asking.retry(clientId);
  }

  /** Takes a request back; its text goes into the field. */
  takeBack(clientId: string): void {
    const request = this.talk.asking.takeBack(clientId);
    if (request?.order.type === 'send' && this.text === '') this.text = request.order.text;
  }

  /** The one before stays at the server, and the visitor does not see it again. */
  newConversation(): void {
    if (this.isBusy) this.stop();
    this.kept.conversation = null;
    this.thread = new OpenThread(newThreadName());
    this.talk.threads.shown(this.thread, (other) => this.talk.asking.of(other).length > 0);
  }

  retry(): void {
    this.link.start();
  }

  private accepted(thread: OpenThread): void {
    if (thread === this.thread) this.kept.conversation = thread.name;
  }

  private linkEvents() {
    return {
      phase: (phase: Phase) => {
        this.phase = phase;
        this.everOpen ||= phase.kind === 'open';
      },
      info: () => {},
      welcome: ({ limits }: Welcome) => {
        this.messageBytes = limits.message_bytes;
        this.talk.connected();
      },
      event: (event: Received) => this.talk.take(event),
      lost: () => this.talk.lost(),
      frameTooLong: () => this.talk.asking.refusedUnread({ code: 'too_large', message: '' }),
    };
  }
}
