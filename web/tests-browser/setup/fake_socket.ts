/**
 * A server's end of the socket in the hands of a test: what it is sent, and what it says when. It
 * takes requests as the server does, and keeps what was said for a page that is loaded again.
 */

import type { Page, WebSocketRoute } from 'playwright-core';
import type {
  ClientEvent,
  Conversation,
  ErrorCode,
  FinishReason,
  Message,
  Parameters,
  ServerEvent,
  TagField,
  V1Error,
} from '../../src/wire';

declare global {
  interface Window {
    framesReceived: number;
  }
}

/** What a page has asked for. */
export interface SentMessage {
  readonly type: string;
  readonly text?: string;
  readonly message?: string;
  readonly client_id?: string;
  readonly system?: string;
  readonly parameters?: Parameters;
}

type Request = Extract<ClientEvent, { type: 'send' | 'edit' | 'regenerate' | 'continue' }>;

const STATES: Partial<Record<FinishReason, Message['state']>> = {
  end: 'complete',
  stop_string: 'complete',
  length: 'length',
  stopped: 'stopped',
  disconnected: 'interrupted',
  shutdown: 'interrupted',
  crashed: 'interrupted',
};

export class FakeSocket {
  /** The requests for answers, and the stops. */
  readonly sent: SentMessage[] = [];
  /** Every event of the page. */
  readonly events: (ClientEvent & TagField)[] = [];
  /** What the next request is refused with instead of being taken. */
  refusal: (Partial<V1Error> & { code: ErrorCode }) | null = null;
  private route: WebSocketRoute | null = null;
  private waiting: (() => void)[] = [];
  private made = 0;
  private readonly conversations = new Map<string, Conversation>();
  private readonly messages: Message[] = [];
  /** The conversation of each message. */
  private readonly places = new Map<string, string>();
  private answer: { conversation: string; message: Message } | null = null;
  /** Frames sent to the page since it was loaded. */
  private said = 0;

  private constructor(private readonly page: Page) {}

  /** Takes the place of the server's socket from the next visit of the page on. */
  static async on(page: Page): Promise<FakeSocket> {
    const socket = new FakeSocket(page);
    await page.routeWebSocket(/\/ws$/, (route) => socket.open(route));
    await page.addInitScript(() => {
      window.framesReceived = 0;
      const dispatch = EventTarget.prototype.dispatchEvent;
      EventTarget.prototype.dispatchEvent = function (event) {
        if (event.type === 'message') window.framesReceived += 1;
        return dispatch.call(this, event);
      };
    });
    return socket;
  }

  /** Resolves when the page has sent this many requests and stops; with the last of them. */
  async receives(count: number): Promise<SentMessage> {
    while (this.sent.length < count)
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    return this.sent[count - 1]!;
  }

  /** Pieces of an answer that goes on. */
  say(...pieces: string[]): void {
    for (const text of pieces) this.grow('text', 'delta', text);
  }

  /** What the model thinks before it answers. */
  think(...pieces: string[]): void {
    for (const text of pieces) this.grow('thinking', 'thinking', text);
  }

  /** The place in the queue. */
  queue(ahead: number, estimateMs: number | null): void {
    const { conversation, message } = this.writing;
    const place = { ahead, estimate_ms: estimateMs };
    this.tell({ type: 'queued', conversation, answer: message.id, ...place });
  }

  /** How much of the prompt is computed. */
  prefill(done: number, total: number): void {
    const { conversation, message } = this.writing;
    this.tell({ type: 'prefill', conversation, answer: message.id, done, total, cached: 0 });
  }

  /** How the conversation fits in the context. */
  context(leftOut: string[], promptTokens: number, contextTokens: number): void {
    const { conversation, message } = this.writing;
    this.tell({
      type: 'context',
      conversation,
      answer: message.id,
      left_out: leftOut,
      prompt_tokens: promptTokens,
      context_tokens: contextTokens,
    });
  }

  /** Resolves when all that was said is drawn. */
  async drawn(): Promise<void> {
    await this.page.waitForFunction((said) => window.framesReceived >= said, this.said);
    await this.page.evaluate(async () => {
      for (let frame = 0; frame < 2; frame += 1) await new Promise(requestAnimationFrame);
    });
  }

  /** The rest of an answer, and its end. */
  end(...pieces: string[]): void {
    this.endFor('end', ...pieces);
  }

  /** The rest of an answer, and its end for a reason. */
  endFor(reason: FinishReason, ...pieces: string[]): void {
    this.say(...pieces);
    this.finish(reason);
  }

  /** The answer fails. */
  fail(code: ErrorCode): void {
    this.finish('failed', code);
  }

  async close(): Promise<void> {
    await this.route?.close();
  }

  /** The ids of all messages, in the order in which they were added. */
  get ids(): string[] {
    return this.messages.map(({ id }) => id);
  }

  private get writing() {
    if (!this.answer) throw new Error('no answer is being written');
    return this.answer;
  }

  private open(route: WebSocketRoute): void {
    this.route = route;
    this.said = 0;
    route.onMessage((text) => this.take(JSON.parse(String(text)) as ClientEvent & TagField));
  }

  private tell(event: ServerEvent & TagField): void {
    if (!this.route) throw new Error('the page has opened no socket');
    this.route.send(JSON.stringify(event));
    this.said += 1;
  }

  private take(event: ClientEvent & TagField): void {
    this.events.push(event);
    switch (event.type) {
      case 'hello':
        return this.tell(WELCOME);
      case 'ping':
        return this.tell({ type: 'pong' });
      case 'open':
        return this.sendAll(event.conversation, event.tag);
      case 'stop':
        return this.count({ type: 'stop', message: event.answer });
      case 'send':
      case 'edit':
      case 'regenerate':
      case 'continue':
        return this.begin(event);
    }
  }

  private count(sent: SentMessage): void {
    this.sent.push(sent);
    for (const resolve of this.waiting.splice(0)) resolve();
  }

  private sendAll(id: string, tag: string | undefined): void {
    const conversation = this.conversations.get(id);
    if (!conversation) {
      this.tell({ type: 'error', code: 'unknown_conversation', message: 'unknown', tag });
      return;
    }
    this.tell({ type: 'opened', conversation, tag });
    const messages = this.messages.filter((message) => this.places.get(message.id) === id);
    this.tell({ type: 'messages', conversation: id, messages, more: false });
  }

  private begin(request: Request & TagField): void {
    const { tag, client_id } = request;
    if (this.refusal) {
      this.tell({ type: 'error', message: 'because', ...this.refusal, tag });
      this.refusal = null;
      return this.count(request as SentMessage);
    }
    const conversation = request.conversation ?? this.id('c');
    const { question, answer } = this.messagesFor(request);
    const [message, parent] = [question?.id ?? null, (question ?? answer).parent];
    const isNew = !this.conversations.has(conversation);
    for (const { id } of [answer, ...(question ? [question] : [])])
      this.places.set(id, conversation);
    if (question) this.messages.push(question);
    if (request.type !== 'continue') this.messages.push(answer);
    this.keep(conversation, request, answer);
    const summary = this.conversations.get(conversation)!;
    const accepted = { client_id, conversation, message, answer: answer.id, parent };
    this.tell({ type: 'accepted', ...accepted, duplicate: false, tag });
    const change = isNew ? 'created' : 'updated';
    this.tell({ type: 'changed', conversation, change, summary });
    if (question) this.tell({ type: 'message', conversation, message: question });
    this.tell({ type: 'message', conversation, message: answer });
    this.answer = { conversation, message: answer };
    this.count(request as SentMessage);
  }

  private messagesFor(request: Request): { question: Message | null; answer: Message } {
    const created_ms = Date.now();
    const answerTo = (parent: string | null): Message => ({
      id: this.id('a'),
      parent,
      role: 'assistant',
      text: '',
      state: 'waiting',
      created_ms,
    });
    if (request.type === 'continue' || request.type === 'regenerate') {
      const before = this.messages.find(({ id }) => id === request.message)!;
      if (request.type === 'regenerate') return { question: null, answer: answerTo(before.parent) };
      const { finish: _, ...rest } = before;
      return { question: null, answer: { ...rest, state: 'waiting' } };
    }
    const parent =
      request.type === 'edit'
        ? this.messages.find(({ id }) => id === request.message)!.parent
        : (this.conversations.get(request.conversation ?? '')?.leaf ?? null);
    const { text } = request;
    const question: Message = { id: this.id('m'), parent, role: 'user', text, created_ms };
    return { question, answer: answerTo(question.id) };
  }

  private keep(id: string, request: Request, answer: Message): void {
    const known = this.conversations.get(id);
    const title = known?.title ?? ('text' in request ? request.text.slice(0, 40) : null);
    const at = this.messages.findIndex((message) => message.id === answer.id);
    if (at >= 0) this.messages[at] = answer;
    this.conversations.set(id, {
      id,
      title,
      created_ms: known?.created_ms ?? Date.now(),
      updated_ms: Date.now(),
      pinned: false,
      archived: false,
      system: ('system' in request ? request.system : known?.system) ?? null,
      parameters: known?.parameters ?? request.parameters ?? {},
      leaf: answer.id,
      model: null,
      messages: this.messages.length,
    });
  }

  private id(kind: string): string {
    this.made += 1;
    return `${kind}${this.made}`;
  }

  private grow(field: 'text' | 'thinking', type: 'delta' | 'thinking', text: string): void {
    const { conversation, message } = this.writing;
    if (text === '') return;
    const at = Buffer.byteLength(message[field] ?? '');
    message[field] = (message[field] ?? '') + text;
    message.state = 'writing';
    this.tell({ type, conversation, answer: message.id, at, text });
  }

  private finish(reason: FinishReason, code?: ErrorCode): void {
    const { conversation, message } = this.writing;
    const state = STATES[reason] ?? 'failed';
    const error = code ? { code, message: `because of ${code}` } : undefined;
    const end = {
      reason,
      ...(error ? { error } : {}),
      usage: { prompt_tokens: 10, cached_tokens: 4, completion_tokens: 2_048 },
      timings: { first_token_ms: 120, tokens_per_second: 30, halt_ms: 0.4 },
      seed: 1,
    };
    Object.assign(message, { state, finish: end });
    const bytes = Buffer.byteLength(message.text);
    const thinking_bytes = Buffer.byteLength(message.thinking ?? '');
    const answer = message.id;
    this.answer = null;
    this.tell({ type: 'finished', conversation, answer, state, bytes, thinking_bytes, ...end });
  }
}

const WELCOME: ServerEvent = {
  type: 'welcome',
  version: '0',
  epoch: 'e',
  user: 'u',
  model: null,
  context_tokens: null,
  limits: {
    message_bytes: 1 << 20,
    client_id_bytes: 64,
    tag_bytes: 64,
    title_bytes: 512,
    open_conversations: 64,
  },
  stores: true,
  on_disconnect: 'grace',
  grace_ms: 60_000,
};
