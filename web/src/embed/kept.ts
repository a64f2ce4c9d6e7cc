/**
 * What the widget keeps in the browser of a visitor: a secret by which the server knows the visitor
 * again, the conversation, and what is not sent yet. There are no cookies.
 *
 * Each key of each server has a place of its own in the storage of the site. Where a browser blocks
 * storage, all of it lasts until the page is left.
 */

import { randomId } from '../conversation/requests';
import { keep, keysOf, type Store } from '../storage/store';
import type { ConversationId } from '../wire';

/** As long as a secret may be. */
const SECRET = /^[\da-z]{26,64}$/;
/** Enough to tell keys apart. A key is no secret on a public page. */
const KEY_CHARACTERS = 8;

export class Kept {
  /** The part of the storage that belongs to this key of this server. */
  readonly store: Store | null;
  private readonly tab: Store | null;
  /** For browsers that keep nothing. */
  private madeSecret: string | null = null;

  constructor(
    stores: { readonly browser: Store | null; readonly tab: Store | null },
    host: string,
    key: string,
  ) {
    const prefix = `banter.embed.${host}.${key.slice(0, KEY_CHARACTERS)}.`;
    this.store = stores.browser && within(stores.browser, prefix);
    this.tab = stores.tab && within(stores.tab, prefix);
  }

  /** The secret of this visitor, the same at each visit. */
  secret(): string {
    const kept = this.store?.getItem('secret') ?? this.madeSecret;
    if (kept !== null && SECRET.test(kept)) return kept;
    this.madeSecret = randomId();
    keep(this.store, 'secret', this.madeSecret);
    return this.madeSecret;
  }

  get conversation(): ConversationId | null {
    return this.store?.getItem('conversation') ?? null;
  }

  set conversation(id: ConversationId | null) {
    if (id === null) this.store?.removeItem('conversation');
    else keep(this.store, 'conversation', id);
  }

  /** Whether the widget is open in this tab: it stays so on the next page of the site. */
  get isOpen(): boolean {
    return this.tab?.getItem('open') === '1';
  }

  set isOpen(open: boolean) {
    if (open) keep(this.tab, 'open', '1');
    else this.tab?.removeItem('open');
  }
}

/** The part of a store whose names begin with a prefix. */
function within(store: Store, prefix: string): Store {
  const names = () => keysOf(store).filter((name) => name.startsWith(prefix));
  return {
    getItem: (name) => store.getItem(prefix + name),
    setItem: (name, value) => store.setItem(prefix + name, value),
    removeItem: (name) => store.removeItem(prefix + name),
    key: (at) => names()[at]?.slice(prefix.length) ?? null,
    get length() {
      return names().length;
    },
  };
}
