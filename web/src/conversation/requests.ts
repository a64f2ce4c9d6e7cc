/** Requests for answers, and how they become events. Until accepted, they are safe to repeat. */

import type { Sent } from '../connection/v1';
import type { ConversationId, MessageId, Parameters } from '../wire';
import type { Fault } from './types';

export interface Request {
  /** The name by which the server knows a repeated request. */
  readonly clientId: string;
  /** The name of the thread: a conversation's id, or a name of our own until it has one. */
  readonly thread: string;
  readonly order: Order;
  readonly state: RequestState;
}

export type RequestState =
  /** It is sent when the connection is there and the answer before it has ended. */
  | { kind: 'waiting' }
  | { kind: 'sent' }
  /** The answer before it was stopped or has failed: a person decides. */
  | { kind: 'held' }
  | { kind: 'refused'; fault: Fault };

export type Order =
  | {
      readonly type: 'send';
      readonly text: string;
      /** Of a new conversation. */
      readonly system?: string;
      readonly parameters?: Parameters;
    }
  | { readonly type: 'edit'; readonly message: MessageId; readonly text: string }
  | { readonly type: 'regenerate' | 'continue'; readonly message: MessageId };

const LOCAL = 'new-';

/** A name for a conversation that the server does not know yet. */
export function newThreadName(): string {
  return LOCAL + randomId();
}

export function isLocal(thread: string): boolean {
  return thread.startsWith(LOCAL);
}

/** 16 random bytes in hexadecimal. */
export function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/**
 * The event that sends a request. Its tag tells which request an error is about. A message goes
 * after `parent`, or to the end of the current branch.
 */
export function eventOf({ clientId, thread, order }: Request, parent?: MessageId): Sent {
  const names = { client_id: clientId, tag: clientId };
  if (order.type !== 'send') return { ...order, ...names, conversation: thread };
  const { text, system, parameters } = order;
  const place = parent === undefined ? {} : { parent };
  if (!isLocal(thread)) return { type: 'send', text, ...names, conversation: thread, ...place };
  return {
    type: 'send',
    text,
    ...names,
    ...(system ? { system } : {}),
    ...(parameters ? { parameters } : {}),
  };
}

/** The request with the conversation that the server has made for its thread. */
export function inConversation(request: Request, conversation: ConversationId): Request {
  return { ...request, thread: conversation };
}
