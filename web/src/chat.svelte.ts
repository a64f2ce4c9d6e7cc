/**
 * Holds what the page shows and connects it with the outside: events of the server change threads
 * and list, and actions of the person become requests.
 */

import type { Asking } from './asking.svelte';
import { Attachments } from './attachments.svelte';
import { addressesOf } from './connection/address';
import { Api, type Credential } from './connection/api';
import { Changing } from './changing.svelte';
import { Composing } from './composing.svelte';
import { ConversationsApi } from './connection/conversations';
import { Http } from './connection/http';
import { Link } from './connection/link';
import { socketOpener } from './connection/socket_carrier';
import { streamOpener } from './connection/stream_carrier';
import { signIn } from './connection/sign_in';
import type { Received } from './connection/v1';
import { isLocal, newThreadName, type Order, type Request } from './conversation/requests';
import type { Phase } from './conversation/types';
import { forgetPage } from './install/register';
import { List } from './list/list.svelte';
import { mark } from './marks';
import { Models } from './models/models.svelte';
import { tell } from './notification';
import { conversationIn, show } from './route';
import { Speaking } from './speaking.svelte';
import { Drafts, NEW } from './storage/drafts.svelte';
import { takeEarlier } from './storage/earlier_keys';
import { loadPreferences, PREFERENCES_KEY, savePreferences } from './storage/preferences';
import type { Preferences } from './storage/preferences';
import { Presets } from './storage/presets.svelte';
import { NO_SETTINGS, type Settings } from './storage/settings';
import { browserStorage, tabStorage } from './storage/store';
import { isSignedOut, loadUser, removeTraces, saveUser, UNKNOWN_USER } from './storage/user';
import { Talk } from './talk.svelte';
import { OpenThread, type Threads } from './threads.svelte';
import type { Changed, Conversation, ConversationId, Info, MessageId, Welcome } from './wire';

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

  readonly conversations: ConversationsApi;
  readonly list: List;
  readonly threads: Threads;
  readonly changing: Changing;
  readonly asking: Asking;
  readonly drafts: Drafts;
  readonly composing: Composing;
  readonly attachments: Attachments;
  readonly presets: Presets;
  readonly models: Models;
  readonly speaking = new Speaking();
  readonly store = browserStorage();
  readonly tabStore = tabStorage();
  readonly api: Api;
  readonly link: Link;
  private readonly talk: Talk;
  user = loadUser(this.store);
  /** The conversation that was shown until it was deleted. */
  private leftBy: ConversationId | null = null;
  private endListeners: ((thread: OpenThread, answer: MessageId) => void)[] = [];

  constructor(page: string) {
    const { base, socket, stream } = addressesOf(page);
    const http = new Http(base);
    this.api = new Api(http);
    this.conversations = new ConversationsApi(http);
    const clock = {
      setTimeout: (run: () => void, delayMs: number) => window.setTimeout(run, delayMs),
      clearTimeout: (timer: number) => window.clearTimeout(timer),
      random: Math.random,
    };
    this.link = new Link(
      [socketOpener(socket), streamOpener(stream)],
      this.api,
      this.linkEvents(),
      clock,
    );
    const send = this.link.send.bind(this.link);
    this.list = new List(this.conversations, (summary) => this.changing.over(summary));
    this.talk = new Talk(
      send,
      this,
      {
        loaded: (thread) => thread === this.shown && this.typed(),
        ended: (thread, answer) => this.answerEnded(thread, answer),
        accepted: (thread) => thread === this.shown && this.shownIsNamed(),
      },
      (name) => this.changing.isSettled(name),
    );
    this.threads = this.talk.threads;
    this.asking = this.talk.asking;
    this.changing = new Changing(this.conversations, this.list, this.threads, (id) =>
      this.asking.settled(id),
    );
    this.drafts = new Drafts(this.store, this.tabStore, this.user);
    this.composing = new Composing(
      this.drafts,
      () => this.welcome?.limits ?? null,
      this.conversations,
      send,
    );
    this.attachments = new Attachments(this.drafts, this.api, () => this.composing.mostBytes);
    this.presets = new Presets(this.store, this.user);
    this.models = new Models(this.api, { switched: () => void this.link.probe() });
  }

  /** Connects; a one-time code is exchanged first. Returns how to let go of the page. */
  start(code: string | null): () => void {
    this.showAddress();
    if (code === null) this.link.start();
    else this.exchange({ code });
    const listeners = new AbortController();
    const { signal } = listeners;
    for (const change of ['online', 'offline'])
      window.addEventListener(change, () => void this.link.probe(), { signal });
    window.addEventListener('popstate', () => this.showAddress(), { signal });
    window.addEventListener('hashchange', () => this.showAddress(), { signal });
    window.addEventListener('storage', (event) => this.storageChanged(event), { signal });
    window.addEventListener('pagehide', () => this.leave(), { signal });
    document.addEventListener('visibilitychange', () => this.visibilityChanged(), { signal });
    return () => listeners.abort();
  }

  get isOpen(): boolean {
    return this.phase.kind === 'open';
  }

  /** Whether there is nothing to read in the shown conversation. */
  get isEmpty(): boolean {
    const { summary, leaf } = this.shown;
    const isNew = isLocal(this.shown.name) || (summary !== null && leaf === null);
    return isNew && this.asking.of(this.shown).length === 0;
  }

  /** Whether there is something to stop: an answer, or a request on its way. */
  get isBusy(): boolean {
    return this.talk.isBusy(this.shown);
  }

  /** Whether an answer in the shown conversation can be asked for at once. */
  get canAsk(): boolean {
    return this.isOpen && this.talk.isIdle(this.shown);
  }

  /** The settings of the shown conversation. */
  get settings(): Settings {
    const { summary } = this.shown;
    if (!summary) return this.drafts.settings;
    return { system: summary.system ?? '', parameters: summary.parameters };
  }

  /** Calls back whenever an answer ends. */
  onEnd(listener: (thread: OpenThread, answer: MessageId) => void): void {
    this.endListeners.push(listener);
  }

  // What is shown.

  /** The first request of each new conversation that is not shown and was not sent yet. */
  get unsent(): readonly Request[] {
    const names = new Set<string>();
    return this.asking.requests.filter(({ thread }) => {
      const isFirst = isLocal(thread) && thread !== this.shown.name && !names.has(thread);
      names.add(thread);
      return isFirst;
    });
  }

  /** Shows a new conversation that the server does not know yet. */
  openUnsent({ thread }: Request): void {
    this.showThread(this.threads.get(thread), 'push');
  }

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
    if (this.attachments.reading > 0 || !this.send(this.composing.text)) return;
    this.attachments.clear();
    this.drafts.write('');
  }

  /** Sends a message, or lets it wait. Returns whether it was taken. */
  send(text: string): boolean {
    const thread = this.shown;
    const isPossible =
      this.phase.kind !== 'locked' && !thread.isGone && !this.composing.exceeds(text);
    if (text.trim() === '' || !isPossible) return false;
    this.threads.adopt(thread);
    this.composing.sent();
    mark('asked');
    this.asking.ask(thread, this.orderFor(thread, text));
    // They belong to the conversation from now on.
    if (isLocal(thread.name)) this.drafts.changeSettings(NO_SETTINGS);
    return true;
  }

  /** Opens the editor of a message. */
  beginEdit(message: MessageId, text: string): void {
    this.drafts.edit(message, text);
    this.editorToFocus = message;
  }

  edit(message: MessageId, text: string): boolean {
    if (text.trim() === '' || !this.canAsk || this.composing.exceeds(text)) return false;
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
    this.talk.stop(this.shown);
  }

  /** Shows the branch that goes through a version of a message. */
  choose(message: MessageId): void {
    const thread = this.shown;
    const leaf = thread.tree.newestBelow(message);
    thread.dispatch({ kind: 'chosen', leaf });
    this.typed();
    if (thread.summary) void this.changing.change(thread.summary, { leaf });
  }

  /** Deletes a question with all its answers, and keeps the messages that follow them. */
  removePair(question: MessageId): void {
    const { summary } = this.shown;
    if (summary) void this.changing.removePair(summary, question);
  }

  changeSettings(settings: Settings): void {
    const { summary } = this.shown;
    if (!summary) return this.drafts.changeSettings(settings);
    const { system, parameters } = settings;
    const change = { system: system === '' ? null : system, parameters };
    void this.changing.change(summary, change).then(() => this.typed());
  }

  /** What is written has changed, or what it would be an answer to. */
  typed(): void {
    this.composing.typed(this.shown, this.canAsk, this.preferences.preparesWhileTyping);
  }

  // Conversations as a whole.

  removeConversation(conversation: Conversation): void {
    void this.changing.remove(conversation);
    const isShown = this.shown.name === conversation.id;
    this.leftBy = isShown ? conversation.id : null;
    if (isShown) this.newConversation();
  }

  undoRemove(): void {
    const conversation = this.list.undoRemove();
    if (conversation && this.leftBy === conversation.id) this.open(conversation.id);
  }

  /** Tells of an answer that has ended while nobody looked, if that is wished. */
  async notify(title: string, text: string): Promise<void> {
    if (!this.preferences.notifies || document.visibilityState === 'visible') return;
    await tell(title, text);
  }

  // The rest.

  retry(): void {
    this.link.start();
  }

  signIn(key: string): void {
    this.exchange({ key });
  }

  private exchange(credential: Credential): void {
    void signIn(credential, this, (phase) => this.enterPhase(phase));
  }

  /** Ends the session. Nothing of the person stays in this browser. */
  async signOut(): Promise<void> {
    await this.list.removeNow();
    this.drafts.flush();
    if (!(await this.api.signOut())) {
      this.changing.failure = { what: 'sign_out', title: null };
      return;
    }
    this.forgetPerson();
    await forgetPage();
    show(null, 'replace');
    location.reload();
  }

  private forgetPerson(): void {
    this.drafts.abandon();
    removeTraces(this.store);
    removeTraces(this.tabStore);
  }

  prefer(change: Partial<Preferences>): void {
    this.preferences = { ...this.preferences, ...change };
    savePreferences(this.store, this.preferences);
    if (!this.preferences.preparesWhileTyping) this.composing.endDraft();
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
    this.attachments.refusals = [];
    this.composing.endDraft();
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
    this.changeUser(welcome.user);
    this.welcome = welcome;
    this.talk.connected();
    this.changing.connected();
    void this.list.load();
    void takeEarlier(welcome.user, this, {
      isHere: () => this.user === welcome.user,
      send: (file) => this.conversations.import(file),
      begin: (text) => this.composing.begin(text),
      refused: () => (this.changing.failure = { what: 'take_over', title: null }),
    });
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
    this.changing.forget();
    this.models.forget();
    this.welcome = null;
    this.asking.changeUser(user);
    this.shown = new OpenThread(newThreadName());
    this.showAddress();
  }

  private take(event: Received): void {
    switch (event.type) {
      case 'opened':
        return this.talk.take({
          ...event,
          conversation: this.changing.over(event.conversation),
        });
      case 'changed':
        return this.takeChange(event);
      default:
        return this.talk.take(event);
    }
  }

  private takeChange(event: Changed & { type: 'changed' }): void {
    const { conversation, summary } = event;
    const shown = summary ? { ...event, summary: this.changing.over(summary) } : event;
    this.list.changed(shown);
    this.threads.take(shown);
    if (event.change !== 'deleted') return;
    this.changing.deleted(conversation);
    this.drafts.forget(conversation);
  }

  /** The conversation that is shown may just have got its id. */
  private shownIsNamed(): void {
    this.drafts.moveTo(this.shown.name);
    show(this.shown.name, 'replace');
  }

  private answerEnded(thread: OpenThread, answer: MessageId): void {
    for (const listener of this.endListeners) listener(thread, answer);
    if (thread === this.shown) this.typed();
  }

  private loseConnection(): void {
    this.talk.lost();
    this.list.lost();
  }

  private storageChanged(event: StorageEvent): void {
    if (isSignedOut(event)) {
      this.forgetPerson();
      show(null, 'replace');
      return location.reload();
    }
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
    void this.list.removeNow();
  }
}
