/**
 * A conversation as this page has it. `reduce(thread, event)` is the one place where it changes; it
 * is pure, and components only read.
 *
 * A new event needs a variant here, a branch below, and a place that dispatches it
 * (`threads.svelte.ts`).
 */

import type {
  Context,
  ContextFit,
  Conversation,
  Finished,
  Message,
  MessageId,
  Prefill,
  Queued,
  RemovedPair,
} from '../wire';
import { addThinking, addWords, isLive, type Live, liveOf } from './live';
import { Tree } from './tree';

export interface Thread {
  /** `null` for a new conversation, until its first message is accepted. */
  readonly summary: Conversation | null;
  readonly tree: Tree;
  /** The end of the branch that is shown. */
  readonly leaf: MessageId | null;
  /** The answers that are being made. */
  readonly live: ReadonlyMap<MessageId, Live>;
  /** How long the model thought before answers that were seen while they were made. */
  readonly thoughtSeconds: ReadonlyMap<MessageId, number>;
  /** How the shown branch fits in the model's context, if that is known. */
  readonly fit: Fit | null;
  /** Whether the messages have come since the page was connected last. */
  readonly isLoaded: boolean;
}

export interface Fit {
  /** Messages that the model does not get. */
  readonly leftOut: ReadonlySet<MessageId>;
  readonly promptTokens: number | null;
  readonly contextTokens: number | null;
}

export const EMPTY_THREAD: Thread = {
  summary: null,
  tree: Tree.EMPTY,
  leaf: null,
  live: new Map(),
  thoughtSeconds: new Map(),
  fit: null,
  isLoaded: false,
};

export type ThreadEvent =
  /** All messages of the conversation have come. */
  | { kind: 'opened'; summary: Conversation; messages: readonly Message[] }
  | { kind: 'summary'; summary: Conversation }
  | { kind: 'message'; message: Message }
  /** A message was deleted, with all that followed it. */
  | { kind: 'removed'; id: MessageId }
  /** A question was deleted with its answers; what followed them is kept. */
  | { kind: 'removed_pair'; pair: RemovedPair }
  | ({ kind: 'queued' } & Queued)
  | ({ kind: 'prefill' } & Prefill)
  | ({ kind: 'context' } & Context)
  /** How it fits with the text that is being typed. */
  | { kind: 'fit'; fit: ContextFit | null }
  | { kind: 'words' | 'thinking'; answer: MessageId; text: string; nowMs: number }
  | ({ kind: 'finished' } & Finished)
  | { kind: 'stop_sent'; answer: MessageId }
  /** The conversation was made, and its messages come one by one. */
  | { kind: 'messages_follow' }
  /** Another branch is to be shown. */
  | { kind: 'chosen'; leaf: MessageId }
  /** The socket is gone: what is shown may be out of date. */
  | { kind: 'lost' };

export function reduce(thread: Thread, event: ThreadEvent): Thread {
  switch (event.kind) {
    case 'opened':
      return open(thread, event.summary, event.messages);
    case 'summary':
      return follow(thread, event.summary);
    case 'message':
      return addMessage(thread, event.message);
    case 'removed':
      return without(thread, thread.tree.without(event.id), event.id);
    case 'removed_pair':
      return without(thread, thread.tree.withoutPair(event.pair), event.pair.messages[0]!);
    case 'finished':
      return finish(thread, event);
    case 'chosen':
      return { ...thread, leaf: event.leaf, fit: null };
    case 'messages_follow':
      return { ...thread, isLoaded: true };
    case 'lost':
      return { ...thread, isLoaded: false };
    case 'context':
      return { ...thread, fit: fitOf(event) };
    case 'fit':
      return { ...thread, fit: event.fit && fitOf(event.fit) };
    case 'queued':
    case 'prefill':
    case 'words':
    case 'thinking':
    case 'stop_sent':
      return changeLive(thread, event.answer, (live) => change(live, event));
  }
}

type LiveEvent = Extract<
  ThreadEvent,
  { kind: 'queued' | 'prefill' | 'words' | 'thinking' | 'stop_sent' }
>;

function change(live: Live, event: LiveEvent): Live {
  switch (event.kind) {
    case 'queued':
      return { ...live, queued: { ahead: event.ahead, estimate_ms: event.estimate_ms } };
    case 'prefill': {
      const { done, total, cached } = event;
      return { ...live, queued: null, prefill: { done, total, cached } };
    }
    case 'words':
      return addWords(live, event.text, event.nowMs);
    case 'thinking':
      return addThinking(live, event.text, event.nowMs);
    case 'stop_sent':
      return { ...live, stopping: true };
  }
}

function changeLive(thread: Thread, answer: MessageId, how: (live: Live) => Live): Thread {
  const live = thread.live.get(answer);
  if (!live) return thread;
  return { ...thread, live: new Map(thread.live).set(answer, how(live)) };
}

function open(thread: Thread, summary: Conversation, messages: readonly Message[]): Thread {
  const live = new Map<MessageId, Live>();
  for (const message of messages) {
    if (!isLive(message)) continue;
    const before = thread.live.get(message.id);
    live.set(message.id, {
      ...liveOf(message),
      thinkingAtMs: before?.thinkingAtMs ?? null,
      stopping: before?.stopping ?? false,
    });
  }
  const tree = Tree.of(messages);
  return { ...thread, summary, tree, live, leaf: leafIn(tree, summary), isLoaded: true };
}

/** What the list says: a branch that was chosen in another tab is shown here, too. */
function follow(thread: Thread, summary: Conversation): Thread {
  const isMoved = thread.summary !== null && thread.summary.leaf !== summary.leaf;
  if (!isMoved || !summary.leaf || !thread.tree.get(summary.leaf)) return { ...thread, summary };
  const leaf = summary.leaf;
  return { ...thread, summary, leaf, fit: leaf === thread.leaf ? thread.fit : null };
}

function addMessage(thread: Thread, message: Message): Thread {
  const tree = thread.tree.with(message);
  const { live } = thread;
  if (!isLive(message)) return { ...thread, tree, leaf: message.id };
  // An answer that is begun or gone on with is the one that people look at, with what follows it.
  const leaf = tree.newestBelow(message.id);
  return { ...thread, tree, leaf, live: new Map(live).set(message.id, liveOf(message)) };
}

/** The thread with what is left after `id` was deleted. */
function without(thread: Thread, tree: Tree, id: MessageId): Thread {
  const parent = thread.tree.get(id)?.parent ?? null;
  const live = new Map([...thread.live].filter(([answer]) => tree.get(answer)));
  const isShown = thread.leaf !== null && tree.get(thread.leaf) !== undefined;
  const end = parent ?? tree.following(null).at(-1) ?? null;
  const leaf = isShown ? thread.leaf : end && tree.newestBelow(end);
  return { ...thread, tree, live, leaf, fit: null };
}

function finish(thread: Thread, event: Finished & { kind: 'finished' }): Thread {
  const message = thread.tree.get(event.answer);
  const live = thread.live.get(event.answer);
  if (!message || !live) return thread;
  const { state, reason, error, usage, timings, seed } = event;
  const whole: Message = {
    ...message,
    text: live.text,
    ...(live.thinking === '' ? {} : { thinking: live.thinking }),
    state,
    finish: { reason, ...(error ? { error } : {}), usage, timings, seed },
  };
  const rest = new Map(thread.live);
  rest.delete(event.answer);
  const seconds = live.thinkingSeconds;
  const thoughtSeconds =
    seconds === null
      ? thread.thoughtSeconds
      : new Map(thread.thoughtSeconds).set(event.answer, seconds);
  return { ...thread, tree: thread.tree.with(whole), live: rest, thoughtSeconds };
}

function leafIn(tree: Tree, { leaf }: Conversation): MessageId | null {
  if (leaf !== null && tree.get(leaf)) return leaf;
  const newest = tree.following(null).at(-1);
  return newest === undefined ? null : tree.newestBelow(newest);
}

function fitOf({ left_out, prompt_tokens, context_tokens }: ContextFit): Fit {
  return {
    leftOut: new Set(left_out),
    promptTokens: prompt_tokens,
    contextTokens: context_tokens,
  };
}
