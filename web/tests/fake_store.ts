/** A browser's storage in memory. */

import type { Store } from '../src/storage/store';

export class FakeStore implements Store {
  readonly items = new Map<string, string>();
  /** Characters that fit. */
  room = Infinity;

  get length() {
    return this.items.size;
  }

  key = (at: number) => [...this.items.keys()][at] ?? null;
  getItem = (key: string) => this.items.get(key) ?? null;
  removeItem = (key: string) => void this.items.delete(key);
  setItem = (key: string, value: string) => {
    const others = [...this.items].filter(([other]) => other !== key);
    const used = others.reduce((sum, [, text]) => sum + text.length, value.length);
    if (used > this.room) throw new Error('quota');
    this.items.set(key, value);
  };
}
