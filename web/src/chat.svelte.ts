/**
 * Holds the state and connects it with the outside: socket frames become events, `reduce` computes
 * the next state, and actions of the person become frames. `keeper.svelte.ts` saves the conversation
 * for the next visit.
 */

import { addressesOf } from './connection/address';
import { Api } from './connection/api';
import { Link } from './connection/link';
import { readFrame, STOP_JSON } from './connection/plain';
import { FrameBuffer } from './conversation/frame_buffer';
import { Ids } from './conversation/ids';
import { type Asked, type Conversation, type Event, reduce } from './conversation/reduce';
import { buildRequest, cutAt, type Request } from './conversation/request';
import { redoable, undoable } from './conversation/shelf';
import { EMPTY_STATE, type State } from './conversation/state';
import type { Fault, Message } from './conversation/types';
import { Keeper } from './keeper.svelte';
import { Models } from './models/models.svelte';
import { loadPreferences, PREFERENCES_KEY, savePreferences } from './storage/preferences';
import type { Preferences } from './storage/preferences';
import { browserStorage } from './storage/store';
import type { Info } from './wire';

/** Used until the server has named its own limit. */
const ASSUMED_MESSAGE_BYTES = 1 << 20;
/** While an answer runs, the connection is checked this often: it may be lost silently. */
const PROBE_EVERY_MS = 20_000;

export class Chat {
  state = $state.raw<State>(EMPTY_STATE);
  preferences = $state.raw<Preferences>(loadPreferences(browserStorage()));

  readonly keeper: Keeper;
  readonly models: Models;
  private readonly api: Api;
  private readonly link: Link;
  private readonly words = new FrameBuffer((text) =>
    this.dispatch({ kind: 'words', text, nowMs: performance.now() }),
  );
  private readonly thoughts = new FrameBuffer((text) =>
    this.dispatch({ kind: 'thinking', text, nowMs: performance.now() }),
  );
  private readonly ids = new Ids();
  /** Messages with later ids came while this page was open. */
  private readonly openedAtId = this.ids.next();
  /** The newest question, until it is known which messages the model gets with it. */
  private latest: SentQuestion | null = null;
  /** Frames still to come of an answer that "Clear" took off the page. */
  private abandoned = $state(false);

  constructor(page: string) {
    const addresses = addressesOf(page);
    this.api = new Api(addresses.base);
    const clock = {
      setTimeout: (run: () => void, delayMs: number) => window.setTimeout(run, delayMs),
      clearTimeout: (timer: number) => window.clearTimeout(timer),
      random: Math.random,
    };
    this.keeper = new Keeper({
      state: () => this.state,
      take: (kind: 'restored' | 'synced', stored: Conversation) => this.take(kind, stored),
      orphaned: (ids: readonly number[]) => this.dispatch({ kind: 'orphaned', ids }),
      flush: () => this.flush(),
    });
    this.models = new Models(this.api, {
      switched: () => void this.link.probe(),
      signedIn: () => {
        this.keeper.expectNewName();
        void this.link.probe();
      },
    });
    this.link = new Link(addresses.socket, this.api, this.linkEvents(), clock);
    this.keeper.open();
  }

  /** Connects; a one-time code in the address is exchanged first. Returns how to let go of the page. */
  start(code: string | null): () => void {
    if (code === null) this.link.start();
    else void this.link.signIn({ code });
    const probe = () => void this.link.probe();
    const seen = () =>
      document.visibilityState === 'visible' && this.state.phase.kind !== 'locked' && probe();
    const timer = window.setInterval(() => this.state.answering && probe(), PROBE_EVERY_MS);
    const choices = ({ key }: StorageEvent) => {
      if (key === PREFERENCES_KEY) this.preferences = loadPreferences(browserStorage());
    };
    const letGoOfKeeper = this.keeper.watch();
    window.addEventListener('online', probe);
    window.addEventListener('storage', choices);
    document.addEventListener('visibilitychange', seen);
    return () => {
      letGoOfKeeper();
      window.clearInterval(timer);
      window.removeEventListener('online', probe);
      window.removeEventListener('storage', choices);
      document.removeEventListener('visibilitychange', seen);
    };
  }

  get canSend(): boolean {
    return this.state.phase.kind === 'open' && this.state.answering === null && !this.abandoned;
  }

  /** Whether the message came while this page was open. */
  isNew({ id }: Message): boolean {
    return id > this.openedAtId;
  }

  /** Sends a message after all others. Returns whether it was sent. */
  send(text: string): boolean {
    return this.ask(text, this.state.messages.length, 'new');
  }

  /** Sends `text` instead of the message at `index`; that and everything after it is shelved. */
  edit(text: string, index: number): boolean {
    return this.ask(text, index, 'new');
  }

  /** Asks the question before the answer at `index` again. */
  regenerate(index: number): void {
    const question = this.state.messages[index - 1];
    if (question?.role === 'user') this.ask(question.text, index - 1, 'again');
  }

  stop(): void {
    if (!this.state.answering || this.state.answering.stopping) return;
    this.link.send(STOP_JSON);
    this.flush();
    this.dispatch({ kind: 'stop_sent' });
  }

  clear(): void {
    if (this.state.answering) {
      this.link.send(STOP_JSON);
      this.abandoned = true;
      this.flush();
      this.dispatch({ kind: 'stop_sent' });
      this.dispatch({ kind: 'lost', nowMs: performance.now() });
    }
    this.dispatch({ kind: 'cleared', id: this.ids.next() });
    this.keeper.save();
  }

  get canUndo(): boolean {
    return this.state.answering === null && undoable(this.state) !== null;
  }

  get canRedo(): boolean {
    return this.state.answering === null && redoable(this.state) !== null;
  }

  undo(): void {
    this.dispatch({ kind: 'undo' });
    this.keeper.save();
  }

  redo(): void {
    this.dispatch({ kind: 'redo' });
    this.keeper.save();
  }

  retry(): void {
    this.link.start();
  }

  signIn(key: string): void {
    void this.link.signIn({ key });
  }

  /** Ends the session. The conversation stays in this browser for people with the same key. */
  async signOut(): Promise<void> {
    if (!(await this.api.signOut())) return;
    this.keeper.forgetOwner();
    location.reload();
  }

  prefer(change: Partial<Preferences>): void {
    this.preferences = { ...this.preferences, ...change };
    savePreferences(browserStorage(), this.preferences);
  }

  private ask(text: string, at: number, purpose: Asked['purpose']): boolean {
    if (!this.canSend || text.trim() === '') return false;
    const { info, messages } = this.state;
    const limit = info?.limits.message_bytes ?? ASSUMED_MESSAGE_BYTES;
    const { parameters } = this.preferences;
    const request = buildRequest(messages.slice(0, at), text, parameters, limit, info?.parameters);
    if (request && !this.link.send(request.json)) return false;
    const [userId, answerId] = [this.ids.next(), this.ids.next()];
    const nowMs = performance.now();
    this.dispatch({ kind: 'asked', text, at, purpose, userId, answerId, nowMs });
    this.latest = request && { request, userId };
    if (this.latest) void this.findCut(this.latest);
    else this.failHere({ code: 'too_large', message: '' });
    this.keeper.save();
    return true;
  }

  private linkEvents() {
    return {
      phase: (phase: State['phase']) => this.enterPhase(phase),
      info: (info: Info) => this.takeInfo(info),
      frame: (text: string) => this.takeFrame(text),
      lost: () => this.loseConnection(),
    };
  }

  private enterPhase(phase: State['phase']): void {
    this.dispatch({ kind: 'phase', phase });
    if (phase.kind === 'locked') this.keeper.forgetOwner();
  }

  private takeInfo(info: Info): void {
    this.dispatch({ kind: 'info', info });
    this.keeper.changeOwner(info.owner);
    if (info.model.demo !== this.preferences.demoAnswered)
      this.prefer({ demoAnswered: info.model.demo });
  }

  private takeFrame(text: string): void {
    const frame = readFrame(text);
    if (this.abandoned) {
      if (frame.kind === 'end') this.abandoned = false;
      return;
    }
    // Nothing is drawn between Stop and the end of the answer.
    const isDrawn = !this.state.answering?.stopping;
    if (frame.kind === 'words' && isDrawn) this.words.add(frame.text);
    if (frame.kind === 'thinking' && isDrawn) this.thoughts.add(frame.text);
    if (frame.kind === 'fault' || frame.kind === 'end_told') this.dispatch(frame);
    if (frame.kind === 'end_told') this.takeDropped(frame.dropped);
    if (frame.kind === 'end') this.end();
    else this.keeper.saveSoon();
  }

  private end(): void {
    this.flush();
    this.dispatch({ kind: 'ended', nowMs: performance.now() });
    this.keeper.answerEnded();
  }

  private loseConnection(): void {
    this.abandoned = false;
    this.flush();
    this.dispatch({ kind: 'lost', nowMs: performance.now() });
    this.keeper.answerEnded();
  }

  /** A fault found before anything was sent. */
  private failHere(fault: Fault): void {
    this.dispatch({ kind: 'fault', fault });
    this.dispatch({ kind: 'ended', nowMs: performance.now() });
  }

  /** Draws the pieces that have arrived, thinking before the answer. */
  private flush(): void {
    this.thoughts.flush();
    this.words.flush();
  }

  /** Finds out which messages still fit. The server is asked while the answer is being written. */
  private async findCut(question: SentQuestion): Promise<void> {
    const { request, userId } = question;
    const { maxTokens } = this.preferences.parameters;
    const dropped = this.state.info?.counts_tokens
      ? await this.api.droppedMessages(request.messages, maxTokens)
      : null;
    const isThere = this.state.messages.some(({ id }) => id === userId);
    if (this.latest !== question || !isThere) return;
    // If nobody counts tokens, the page still knows what it left out itself.
    this.dispatch({ kind: 'cut', cut: cutAt(request, dropped ?? 0, userId) });
    this.keeper.saveSoon();
  }

  /** What the model did not get, as the server says at the end: it knows it of every engine. */
  private takeDropped(dropped: number): void {
    if (dropped === 0 || !this.latest) return;
    const { request, userId } = this.latest;
    // A reply of /tokenize that is still to come says nothing new.
    this.latest = null;
    this.dispatch({ kind: 'cut', cut: cutAt(request, dropped, userId) });
  }

  private take(kind: 'restored' | 'synced', stored: Conversation): void {
    this.dispatch({ kind, ...stored });
    const { messages, shelf } = this.state;
    const shelved = shelf.flatMap((removal) => [removal, ...removal.messages]);
    this.ids.after([...messages, ...shelved].map(idOf));
  }

  private dispatch(event: Event): void {
    this.state = reduce(this.state, event);
  }
}

interface SentQuestion {
  readonly request: Request;
  readonly userId: number;
}

function idOf({ id }: { readonly id: number }): number {
  return id;
}
