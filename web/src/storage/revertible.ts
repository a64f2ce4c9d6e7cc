/** A store whose latest changes can be taken back, for tries that may turn out to be in vain. */

import { keep, type Store } from './store';

export class Revertible implements Store {
  /** What stood under each key before it was changed, while a try is made. */
  private before: Map<string, string | null> | null = null;

  constructor(private readonly store: Store) {}

  get length(): number {
    return this.store.length;
  }

  key(at: number): string | null {
    return this.store.key(at);
  }

  getItem(key: string): string | null {
    return this.store.getItem(key);
  }

  setItem(key: string, text: string): void {
    this.remember(key);
    this.store.setItem(key, text);
  }

  removeItem(key: string): void {
    this.remember(key);
    this.store.removeItem(key);
  }

  /** Makes changes that count only if `changes` returns true. Returns whether they do. */
  try(changes: () => boolean): boolean {
    this.before = new Map();
    const counts = changes();
    const before = this.before;
    this.before = null;
    if (!counts) this.revert(before);
    return counts;
  }

  private remember(key: string): void {
    if (this.before && !this.before.has(key)) this.before.set(key, this.store.getItem(key));
  }

  /** What needs less room than now comes first, so that there is room for the rest. */
  private revert(before: ReadonlyMap<string, string | null>): void {
    const growth = ([key, text]: readonly [string, string | null]) =>
      Math.sign((text?.length ?? 0) - (this.store.getItem(key)?.length ?? 0));
    // The order of the changes holds among those that need more.
    for (const [key, text] of [...before].sort((a, b) => growth(a) - growth(b))) {
      if (text === null) this.store.removeItem(key);
      else keep(this.store, key, text);
    }
  }
}
