/**
 * Requests that the server has not accepted yet, kept for the next visit. Each is stored by itself,
 * so that two tabs never overwrite each other's; both may send the same one, because the server
 * takes it once.
 */

import { isRecord, keep, keysOf, parseRecord, type Store } from './store';
import type { Order, Request } from '../conversation/requests';

const PREFIX = 'banter.outbox.';

export class Outbox {
  constructor(
    private readonly store: Store | null,
    private readonly user: string,
  ) {}

  /** All requests of the user, in the order in which they were made. */
  load(): Request[] {
    const { store } = this;
    if (!store) return [];
    const found = keysOf(store)
      .filter((key) => key.startsWith(this.prefix))
      .flatMap((key) => readRequest(key.slice(this.prefix.length), store.getItem(key)));
    return found.sort((a, b) => a.madeMs - b.madeMs).map(({ request }) => request);
  }

  /** The request that another tab has removed, if that is what it has changed. */
  removedIn({ key, newValue }: StorageEvent): string | null {
    return newValue === null && key?.startsWith(this.prefix) ? key.slice(this.prefix.length) : null;
  }

  put({ clientId, thread, order, state }: Request, nowMs: number): void {
    const madeMs = this.madeMs(clientId) ?? nowMs;
    const isSent = state.kind === 'sent';
    const isHeld = state.kind === 'held' || state.kind === 'refused';
    keep(
      this.store,
      this.prefix + clientId,
      JSON.stringify({ thread, order, isSent, isHeld, madeMs }),
    );
  }

  remove(clientId: string): void {
    this.store?.removeItem(this.prefix + clientId);
  }

  private get prefix(): string {
    return `${PREFIX}${this.user}.`;
  }

  private madeMs(clientId: string): number | null {
    const saved = parseRecord(this.store?.getItem(this.prefix + clientId) ?? null);
    return typeof saved?.madeMs === 'number' ? saved.madeMs : null;
  }
}

function readRequest(
  clientId: string,
  json: string | null,
): { request: Request; madeMs: number }[] {
  const saved = parseRecord(json);
  const order = readOrder(saved?.order);
  if (!saved || !order || typeof saved.thread !== 'string') return [];
  const kind = saved.isSent === true ? 'sent' : saved.isHeld === true ? 'held' : 'waiting';
  const state = { kind } as const;
  const madeMs = typeof saved.madeMs === 'number' ? saved.madeMs : 0;
  return [{ request: { clientId, thread: saved.thread, order, state }, madeMs }];
}

/** Only this page writes orders; an older version of it may have written them otherwise. */
function readOrder(value: unknown): Order | null {
  if (!isRecord(value)) return null;
  const hasText = typeof value.text === 'string';
  const hasMessage = typeof value.message === 'string';
  switch (value.type) {
    case 'send':
      return hasText ? (value as unknown as Order) : null;
    case 'edit':
      return hasText && hasMessage ? (value as unknown as Order) : null;
    case 'regenerate':
    case 'continue':
      return hasMessage ? (value as unknown as Order) : null;
    default:
      return null;
  }
}
