/** The part of the browser's storage that the page uses. */

export type Store = Pick<Storage, 'getItem' | 'setItem' | 'removeItem' | 'key' | 'length'>;

/** Kept for the next visit; `null` where the browser blocks storage. */
export function browserStorage(): Storage | null {
  return stored(() => window.localStorage);
}

/** Kept for this tab, also when it is loaded again; `null` where the browser blocks storage. */
export function tabStorage(): Storage | null {
  return stored(() => window.sessionStorage);
}

function stored(get: () => Storage): Storage | null {
  try {
    return get();
  } catch {
    return null;
  }
}

/** Returns whether the text was kept: storage may be full or blocked. */
export function keep(store: Store | null, key: string, text: string): boolean {
  try {
    store?.setItem(key, text);
    return store !== null;
  } catch {
    return false;
  }
}

/** The names of all that is kept. */
export function keysOf(store: Store): string[] {
  return Array.from({ length: store.length }, (_, at) => store.key(at) ?? '');
}

/** An object that was kept as JSON, `null` for anything else. */
export function readRecord(store: Store | null, key: string): Record<string, unknown> | null {
  return store ? parseRecord(store.getItem(key)) : null;
}

export function parseRecord(json: string | null): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(json ?? 'null');
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

export function asNumber(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}
