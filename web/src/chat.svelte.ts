/**
 * Holds what the page shows and connects it with the outside: events of the server change threads and
 * list, and actions of the person become requests.
 */

import { withAttachments } from './attach/message';
import { Asking } from './asking.svelte';
import { Attachments } from './attachments.svelte';
import { addressesOf } from './connection/address';
import { Api } from './connection/api';
import { ConversationsApi } from './connection/conversations';
import { Http } from './connection/http';
import { Link } from './connection/link';
import type { Received } from './connection/v1';
import { byteLength } from './conversation/arriving';
import { outcomeOf } from './conversation/outcome';
import { isLocal, newThreadName, type Order } from './conversation/requests';
import type { Phase } from './conversation/types';
import { Drafting } from './drafting';
import { Fitting } from './fitting';
import { forgetPage } from './install/register';
import { List } from './list/list.svelte';
import { mark } from './marks';
import { Models } from './models/models.svelte';
import { tell } from './notification';
import { conversationIn, show } from './route';
import { Speaking } from './speaking.svelte';
import { Drafts, NEW } from './storage/drafts.svelte';
import { loadPreferences, PREFERENCES_KEY, savePreferences } from './storage/preferences';
import type { Preferences } from './storage/preferences';
import { Presets } from './storage/presets.svelte';
import { NO_SETTINGS, type Settings } from './storage/settings';
import { browserStorage } from './storage/store';
import { loadUser, removeTraces, saveUser, UNKNOWN_USER } from './storage/user';
import { OpenThread, Threads } from './threads.svelte';
import type { Conversation, ConversationId, Info, MessageId, Welcome } from './wire';

/** Used until the server has named its own limit. */
const ASSUMED_MESSAGE_BYTES = 1 << 20;
/** What the other fields of a frame may take. */
const FRAME_ROOM_BYTES = 4_096;

export class Chat {
  phase = $state.raw<Phase>({ kind: 'connecting' });
  /** Whether this page was ever connected; before that nothing can have been lost. */
  everOpen = $state(false);
  info = $state.raw<Info | null>(null);
  welcome = $state.raw<Welcome | null>(null);
  preferences = $state.raw<Preferences>(loadPreferences(browserStorage()));
  /** The conversation on the page. */
  shown = $state.raw<OpenThread>(new OpenThread(newThreadName()));
  /** The message that a search has led to. */
  target = $state.raw<MessageId | null>(null);
  /** The message whose editor has just been opened. */
  editorToFocus = $state.raw<MessageId | null>(null);

  readonly list: List;
  readonly threads: Threads;
  readonly asking: Asking;
  readonly drafts: Drafts;
  readonly attachments: Attachments;
  readonly presets: Presets;
  readonly models: Models;
  readonly speaking = new Speaking();
  private readonly store = browserStorage();
  private readonly conversations: ConversationsApi;
  private readonly api: Api;
  private readonly link: Link;
  private readonly drafting: Drafting;
  private readonly fitting: Fitting;
  private user = loadUser(this.store);
  /** The conversation that was shown until it was deleted. */
  private leftBy: ConversationId | null = null;
  private endListeners: ((thread: OpenThread, answer: MessageId) => void)[] = [];

  constructor(page: string) {
    const addresses = addressesOf(page);
    const http = new Http(addresses.base);
    this.api = new Api(http);
    this.conversations = new ConversationsApi(http);
    const clock = {
      setTimeout: (run: () => void, delayMs: number) => window.setTimeout(run, delayMs),
      clearTimeout: (timer: number) => window.clearTimeout(timer),
      random: Math.random,
    };
    this.link = new Link(addresses.socket, this.api, this.linkEvents(), clock);
    const send = this.link.send.bind(this.link);
    this.fitting = new Fitting(this.conversations);
    this.list = new List(this.conversations);
    this.threads = new Threads(send, {
      loaded: (thread) => this.threadLoaded(thread),
      ended: (thread, answer) => this.answerEnded(thread, answer),
    });
    this.asking = new Asking(this.threads, send, this.store, this.user);
    this.drafts = new Drafts(this.store, this.user);
    this.attachments = new Attachments(this.drafts, this.api, () => this.mostBytes);
    this.presets = new Presets(this.store, this.user);
    this.drafting = new Drafting(send, () => this.mostBytes);
    this.models = new Models(this.api, { switched: () => void this.link.probe() });
  }

  /** Connects; a one-time code in the address is exchanged first. Returns how to let go of the page. */
  start(code: string | null): () => void {
    this.showAddress();
    if (code === null) this.link.start();
    else void this.link.signIn({ code });
    const listeners = new AbortController();
    const { signal } = listeners;
    window.addEventListener('online', () => void this.link.probe(), { signal });
    window.addEventListener('popstate', () => this.showAddress(), { signal });
    window.addEventListener('hashchange', () => this.showAddress(), { signal });
    window.addEventListener('storage', (event) => this.storageChanged(event), { signal });
    window.addEventListener('pagehide', () => this.leave(), { signal });
    document.addEventListener('visibilitychange', () => this.visibilityChanged(), { signal });
    return () => listeners.abort();
  }

  /** Puts a text into the composer, in front of what is written there. It is never sent. */
  begin(text: string): void {
    if (text.trim() === '') return;
    const { message } = this.drafts;
    this.drafts.write(message === '' ? text : `${text}\n\n${message}`);
  }

  get isOpen(): boolean {
    return this.phase.kind === 'open';
  }

  /** The longest message, in bytes. */
  get mostBytes(): number {
    const limit = this.welcome?.limits.message_bytes ?? ASSUMED_MESSAGE_BYTES;
    return limit - FRAME_ROOM_BYTES;
  }

  /** Whether there is nothing to read in the shown conversation. */
  get isEmpty(): boolean {
    const { summary, leaf } = this.shown.state;
    const isNew = isLocal(this.shown.name) || (summary !== null && leaf === null);
    return isNew && this.asking.of(this.shown).length === 0;
  }

  /** Whether there is something to stop: an answer, or a request on its way. */
  get isBusy(): boolean {
    return this.shown.isAnswering || this.asking.isSending(this.shown);
  }

  /** Whether an answer in the shown conversation can be asked for at once. */
  get canAsk(): boolean {
    return this.isOpen && !this.shown.isAnswering && this.asking.of(this.shown).length === 0;
  }

  /** The settings of the shown conversation. */
  get settings(): Settings {
    const { summary } = this.shown.state;
    if (!summary) return this.drafts.settings;
    return { system: summary.system ?? '', parameters: summary.parameters };
  }

  /** Calls back whenever an answer ends. */
  onEnd(listener: (thread: OpenThread, answer: MessageId) => void): void {
    this.endListeners.push(listener);
  }

  // What is shown.

  newConversation(): void {
    if (isLocal(this.shown.name) && this.asking.of(this.shown).length === 0) return;
    this.showThread(new OpenThread(newThreadName()), 'push');
  }

  open(id: ConversationId, message: MessageId | null = null): void {
    this.showThread(this.threads.get(id), 'push');
    this.target = message;
  }

  // What is asked.

  /** Sends what is written in the composer, with its files. */
  sendDraft(): void {
    // A file that is still being read would come too late.
    if (this.attachments.reading > 0 || !this.send(this.draftText)) return;
    this.drafts.changeFiles([]);
    this.drafts.write('');
  }

  /** What would be sent of what is in the composer. */
  get draftText(): string {
    const { message, files } = this.drafts;
    return files.length === 0 ? message : withAttachments(message, files);
  }

  /** Sends a message, or lets it wait. Returns whether it was taken. */
  send(text: string): boolean {
    const thread = this.shown;
    const isPossible = this.phase.kind !== 'locked' && !thread.isGone && !this.isTooLarge(text);
    if (text.trim() === '' || !isPossible) return false;
    this.threads.adopt(thread);
    this.drafting.end();
    this.fitting.forget();
    mark('asked');
    this.asking.ask(thread, this.orderFor(thread, text));
    // They belong to the conversation from now on.
    if (isLocal(thread.name)) this.drafts.changeSettings(NO_SETTINGS);
    return true;
  }

  isTooLarge(text: string): boolean {
    // JSON writes up to six bytes for one unit of UTF-16.
    if (text.length * 6 <= this.mostBytes) return false;
    return byteLength(JSON.stringify(text)) > this.mostBytes;
  }

  /** Opens the editor of a message. */
  beginEdit(message: MessageId, text: string): void {
    this.drafts.edit(message, text);
    this.editorToFocus = message;
  }

  edit(message: MessageId, text: string): boolean {
    if (text.trim() === '' || !this.canAsk || this.isTooLarge(text)) return false;
    this.asking.ask(this.shown, { type: 'edit', message, text });
    return true;
  }

  regenerate(message: MessageId): void {
    if (this.canAsk) this.asking.ask(this.shown, { type: 'regenerate', message });
  }

  continueAnswer(message: MessageId): void {
    if (this.canAsk) this.asking.ask(this.shown, { type: 'continue', message });
  }

  /** Stops the answers of the shown conversation, also one that is only asked for. */
  stop(): void {
    const thread = this.shown;
    mark('stopped');
    this.asking.stopOnceAccepted(thread);
    for (const [answer, { stopping }] of thread.state.live) {
      if (stopping) continue;
      // Without a connection it is sent when the answer is there again.
      this.link.send({ type: 'stop', answer });
      this.threads.flush(thread);
      thread.dispatch({ kind: 'stop_sent', answer });
    }
  }

  /** Shows the branch that goes through a version of a message. */
  choose(message: MessageId): void {
    const thread = this.shown;
    const leaf = thread.state.tree.newestBelow(message);
    thread.dispatch({ kind: 'chosen', leaf });
    this.typed(this.draftText);
    const id = thread.state.summary?.id;
    if (id !== undefined) void this.conversations.change(id, { leaf });
  }

  /** Deletes a question with all its answers. What follows them is kept. */
  removePair(question: MessageId): void {
    const id = this.shown.state.summary?.id;
    if (id !== undefined) void this.conversations.removePair(id, question);
  }

  changeSettings(settings: Settings): void {
    const { summary } = this.shown.state;
    if (!summary) return this.drafts.changeSettings(settings);
    const { system, parameters } = settings;
    const change = { system: system === '' ? null : system, parameters };
    this.shown.dispatch({ kind: 'summary', summary: { ...summary, ...change } });
    void this.conversations.change(summary.id, change).then(() => this.typed(this.draftText));
  }

  /** The text in the composer has changed, or what it would be an answer to. */
  typed(text: string): void {
    const thread = this.shown;
    const { settings } = this.drafts;
    // An answer that is being made tells itself how it fits, and prepares nothing.
    const isUseful = this.canAsk;
    const prepares = this.preferences.preparesWhileTyping;
    this.drafting.typed({ thread: thread.name, text, settings, isUseful: isUseful && prepares });
    if (isUseful) this.fitting.changed(thread, text, settings);
  }

  /** An input method composes: nothing is told of what is typed until it is done. */
  composing(): void {
    this.drafting.wait();
    this.fitting.forget();
  }

  // Conversations as a whole.

  removeConversation(conversation: Conversation): void {
    this.list.remove(conversation);
    const isShown = this.shown.name === conversation.id;
    this.leftBy = isShown ? conversation.id : null;
    if (isShown) this.newConversation();
  }

  undoRemove(): void {
    const conversation = this.list.undoRemove();
    if (conversation && this.leftBy === conversation.id) this.open(conversation.id);
  }

  exportAddress(id: ConversationId | null, format: 'markdown' | 'json'): string {
    return this.conversations.exportAddress(id, format);
  }

  /** Tells of an answer that has ended while nobody looked, if that is wished. */
  async notify(title: string, text: string): Promise<void> {
    if (!this.preferences.notifies || document.visibilityState === 'visible') return;
    await tell(title, text);
  }

  import(file: Blob) {
    return this.conversations.import(file);
  }

  // The rest.

  retry(): void {
    this.link.start();
  }

  signIn(key: string): void {
    void this.link.signIn({ key });
  }

  /** Ends the session. Nothing of the person stays in this browser. */
  async signOut(): Promise<void> {
    this.list.removeNow();
    this.drafts.flush();
    if (!(await this.api.signOut())) return;
    removeTraces(this.store);
    await forgetPage();
    show(null, 'replace');
    location.reload();
  }

  prefer(change: Partial<Preferences>): void {
    this.preferences = { ...this.preferences, ...change };
    savePreferences(this.store, this.preferences);
    if (!this.preferences.preparesWhileTyping) this.drafting.end();
  }

  private orderFor(thread: OpenThread, text: string): Order {
    const { settings } = this.drafts;
    if (!isLocal(thread.name) || settings === NO_SETTINGS) return { type: 'send', text };
    const { system, parameters } = settings;
    return { type: 'send', text, ...(system === '' ? {} : { system }), parameters };
  }

  private showThread(thread: OpenThread, how: 'push' | 'replace'): void {
    this.shown = thread;
    this.target = null;
    this.speaking.stop();
    this.drafting.end();
    this.threads.shown(thread, (other) => this.asking.of(other).length > 0);
    const isNew = isLocal(thread.name);
    this.drafts.show(isNew ? NEW : thread.name);
    show(isNew ? null : thread.name, how);
  }

  /** Shows what the address names. */
  private showAddress(): void {
    const id = conversationIn(location.hash);
    if (id !== null) return this.showThread(this.threads.get(id), 'replace');
    const waiting = this.asking.requests.find(({ thread }) => isLocal(thread));
    if (waiting) return this.showThread(this.threads.get(waiting.thread), 'replace');
    if (!isLocal(this.shown.name)) this.showThread(new OpenThread(newThreadName()), 'replace');
  }

  private linkEvents() {
    return {
      phase: (phase: Phase) => this.enterPhase(phase),
      info: (info: Info) => this.takeInfo(info),
      welcome: (welcome: Welcome) => this.takeWelcome(welcome),
      event: (event: Received) => this.take(event),
      lost: () => this.loseConnection(),
      frameTooLong: () => this.asking.refusedUnread({ code: 'too_large', message: '' }),
    };
  }

  private enterPhase(phase: Phase): void {
    this.phase = phase;
    this.everOpen ||= phase.kind === 'open';
    // The next person may be somebody else.
    if (phase.kind === 'locked') this.changeUser(UNKNOWN_USER);
  }

  private takeInfo(info: Info): void {
    this.info = info;
    if (info.model.demo !== this.preferences.demoAnswered)
      this.prefer({ demoAnswered: info.model.demo });
  }

  private takeWelcome(welcome: Welcome): void {
    this.welcome = welcome;
    this.changeUser(welcome.user);
    this.threads.connected();
    this.asking.connected();
    void this.list.load();
  }

  private changeUser(user: string): void {
    if (user === this.user) return;
    const isNamed = this.user === UNKNOWN_USER;
    this.user = user;
    saveUser(this.store, user);
    this.presets.changeUser(user);
    this.drafts.changeUser(user);
    // Until the server tells who it is, a person can only write.
    if (isNamed) return this.asking.nameUser(user);
    this.threads.forgetAll();
    this.list.forget();
    this.asking.changeUser(user);
    this.shown = new OpenThread(newThreadName());
    this.showAddress();
  }

  private take(event: Received): void {
    switch (event.type) {
      case 'accepted': {
        const isShown = this.asking.isFor(event.client_id, this.shown);
        if (this.asking.accepted(event) === 'stop')
          this.link.send({ type: 'stop', answer: event.answer });
        if (isShown) this.shownIsNamed();
        return;
      }
      case 'error':
        if (event.tag === undefined) return this.asking.refusedUnread(event);
        if (!this.asking.refused(event.tag, event)) this.threads.refused(event.tag, event.code);
        return;
      case 'changed':
        this.list.changed(event);
        return this.threads.take(event);
      default:
        return this.threads.take(event);
    }
  }

  /** The conversation that is shown may just have got its id. */
  private shownIsNamed(): void {
    this.drafts.moveTo(this.shown.name);
    show(this.shown.name, 'replace');
  }

  private threadLoaded(thread: OpenThread): void {
    this.asking.opened(thread);
    for (const [answer, { stopping }] of thread.state.live)
      if (stopping) this.link.send({ type: 'stop', answer });
    if (thread === this.shown) this.typed(this.draftText);
  }

  private answerEnded(thread: OpenThread, answer: MessageId): void {
    const message = thread.state.tree.get(answer);
    const kind = message && outcomeOf(message).kind;
    this.asking.answerEnded(thread, kind === 'complete' || kind === 'cut');
    for (const listener of this.endListeners) listener(thread, answer);
    if (thread === this.shown) this.typed(this.draftText);
  }

  private loseConnection(): void {
    this.asking.lost();
    this.threads.lost();
  }

  private storageChanged(event: StorageEvent): void {
    if (event.key === PREFERENCES_KEY) this.preferences = loadPreferences(this.store);
    this.drafts.storageChanged(event);
    this.asking.storageChanged(event);
    this.presets.storageChanged(event);
  }

  private visibilityChanged(): void {
    if (document.visibilityState !== 'visible') return this.drafts.flush();
    if (this.phase.kind !== 'locked') void this.link.probe();
  }

  private leave(): void {
    this.drafts.flush();
    this.list.removeNow();
  }
}
