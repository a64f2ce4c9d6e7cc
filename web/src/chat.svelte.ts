/**
 * Holds the state and connects it with the outside: socket frames become events, `reduce` makes the
 * next state, and what a person does becomes a frame. The only place with both.
 */

import { addressesOf } from './connection/address';
import { Api } from './connection/api';
import { Link } from './connection/link';
import { readFrame, STOP_JSON } from './connection/plain';
import { FrameBuffer } from './conversation/frame_buffer';
import { type Event, reduce } from './conversation/reduce';
import { buildRequest, type Request } from './conversation/request';
import { type Cut, EMPTY_STATE, type State } from './conversation/state';
import {
  loadConversation,
  loadPreferences,
  type Preferences,
  saveConversation,
  savePreferences,
} from './conversation/storage';
import type { Fault } from './conversation/types';
import { Models } from './models/models.svelte';

/** Used until the server has named its own limit. */
const ASSUMED_MESSAGE_BYTES = 1 << 20;
/** While an answer grows, it is written to storage at most this often. */
const SAVE_EVERY_MS = 1_000;
/** An answer that is silent for so long may have lost its connection: then the server is asked. */
const PROBE_EVERY_MS = 20_000;

export class Chat {
  state = $state.raw<State>(EMPTY_STATE);
  preferences = $state.raw<Preferences>(loadPreferences(browserStorage()));
  /** What is being written; kept here, because the field goes while a key is asked for. */
  draft = $state('');
  /** Whether the conversation will be there after a reload. */
  kept = $state(true);

  readonly models: Models;
  private readonly api: Api;
  private readonly link: Link;
  private readonly buffer = new FrameBuffer((text) =>
    this.dispatch({ kind: 'words', text, nowMs: performance.now() }),
  );
  private nextId = 1;
  private saveTimer: number | null = null;
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
    this.models = new Models(this.api, () => void this.link.probe());
    this.link = new Link(addresses.socket, this.api, this.linkEvents(), clock);
    const messages = loadConversation(browserStorage());
    this.nextId = Math.max(0, ...messages.map(({ id }) => id)) + 1;
    this.dispatch({ kind: 'restored', messages });
  }

  /** Connects; a one-time code in the address is exchanged first. Returns how to let go of the page. */
  start(code: string | null): () => void {
    if (code === null) this.link.start();
    else void this.link.signIn({ code });
    const probe = () => void this.link.probe();
    const seen = () =>
      document.visibilityState === 'visible' && this.state.phase.kind !== 'locked' && probe();
    const leave = () => {
      this.buffer.flush();
      // Only what is new: another tab may have written a later conversation.
      if (this.saveTimer !== null) this.save();
    };
    const timer = window.setInterval(() => this.state.answering && probe(), PROBE_EVERY_MS);
    window.addEventListener('online', probe);
    window.addEventListener('pagehide', leave);
    document.addEventListener('visibilitychange', seen);
    return () => {
      window.clearInterval(timer);
      window.removeEventListener('online', probe);
      window.removeEventListener('pagehide', leave);
      document.removeEventListener('visibilitychange', seen);
    };
  }

  get canSend(): boolean {
    return this.state.phase.kind === 'open' && this.state.answering === null && !this.abandoned;
  }

  /** Sends a message after all others. Returns whether it was sent. */
  send(text: string): boolean {
    return this.ask(text, this.state.messages.length);
  }

  /** Sends `text` in place of the message at `index`; what came after it gives way. */
  ask(text: string, index: number): boolean {
    if (!this.canSend || text.trim() === '') return false;
    const { info, messages } = this.state;
    const limit = info?.limits.message_bytes ?? ASSUMED_MESSAGE_BYTES;
    const { parameters } = this.preferences;
    const earlier = messages.slice(0, index);
    const request = buildRequest(earlier, text, parameters, limit, info?.parameters);
    if (request && !this.link.send(request.json)) return false;
    const [userId, answerId] = [this.nextId++, this.nextId++];
    this.dispatch({ kind: 'asked', text, at: index, userId, answerId, nowMs: performance.now() });
    if (request) void this.findCut(request, userId);
    else this.failHere({ code: 'too_large', message: '' });
    this.save();
    return true;
  }

  /** Asks the question before the answer at `index` once more. */
  regenerate(index: number): void {
    const question = this.state.messages[index - 1];
    if (question?.role === 'user') this.ask(question.text, index - 1);
  }

  stop(): void {
    if (!this.state.answering || this.state.answering.stopping) return;
    this.link.send(STOP_JSON);
    this.buffer.flush();
    this.dispatch({ kind: 'stop_sent' });
  }

  clear(): void {
    if (this.state.answering) {
      this.link.send(STOP_JSON);
      this.abandoned = true;
      this.buffer.flush();
      this.dispatch({ kind: 'stop_sent' });
      this.dispatch({ kind: 'lost', nowMs: performance.now() });
    }
    this.dispatch({ kind: 'cleared' });
    this.save();
  }

  undoClear(): void {
    this.dispatch({ kind: 'clear_undone' });
    this.save();
  }

  retry(): void {
    this.link.start();
  }

  signIn(key: string): void {
    void this.link.signIn({ key });
  }

  prefer(change: Partial<Preferences>): void {
    this.preferences = { ...this.preferences, ...change };
    savePreferences(browserStorage(), this.preferences);
  }

  private linkEvents() {
    return {
      phase: (phase: State['phase']) => this.dispatch({ kind: 'phase', phase }),
      info: (info: NonNullable<State['info']>) => this.dispatch({ kind: 'info', info }),
      frame: (text: string) => this.takeFrame(text),
      lost: () => this.loseConnection(),
    };
  }

  private takeFrame(text: string): void {
    const frame = readFrame(text);
    if (this.abandoned) {
      if (frame.kind === 'end') this.abandoned = false;
      return;
    }
    // Nothing is drawn between Stop and the end of the answer.
    if (frame.kind === 'words' && !this.state.answering?.stopping) this.buffer.add(frame.text);
    if (frame.kind === 'fault') this.dispatch({ kind: 'fault', fault: frame.fault });
    if (frame.kind === 'end') this.end();
    else this.saveSoon();
  }

  private end(): void {
    this.buffer.flush();
    this.dispatch({ kind: 'ended', nowMs: performance.now() });
    this.save();
  }

  private loseConnection(): void {
    this.abandoned = false;
    this.buffer.flush();
    this.dispatch({ kind: 'lost', nowMs: performance.now() });
    this.save();
  }

  /** A fault found before anything was sent. */
  private failHere(fault: Fault): void {
    this.dispatch({ kind: 'fault', fault });
    this.dispatch({ kind: 'ended', nowMs: performance.now() });
  }

  /** Asks the server which messages still fit, beside the answer that is being made. */
  private async findCut(request: Request, userId: number): Promise<void> {
    const { maxTokens } = this.preferences.parameters;
    const dropped = await this.api.droppedMessages(request.messages, maxTokens);
    const current = this.state.messages.at(-2)?.id === userId;
    if (dropped !== null && current)
      this.dispatch({ kind: 'cut', cut: cutAt(request, dropped, userId) });
  }

  private dispatch(event: Event): void {
    this.state = reduce(this.state, event);
  }

  private saveSoon(): void {
    this.saveTimer ??= window.setTimeout(() => this.save(), SAVE_EVERY_MS);
  }

  private save(): void {
    if (this.saveTimer !== null) window.clearTimeout(this.saveTimer);
    this.saveTimer = null;
    this.kept = saveConversation(browserStorage(), this.state.messages);
  }
}

function cutAt(request: Request, dropped: number, userId: number): Cut | null {
  const droppedCount = dropped + request.trimmedCount;
  if (droppedCount === 0) return null;
  return { droppedCount, firstKeptId: request.sentIds[dropped] ?? userId };
}

/** `null` where the browser blocks storage. */
function browserStorage(): Storage | null {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
}
