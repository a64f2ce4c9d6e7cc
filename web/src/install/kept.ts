/** What the service worker keeps, and when it answers with it. */

/** The page as it was built. The build puts this into the service worker. */
export interface Build {
  /** Changes with any file. */
  readonly version: string;
  /** The page's first script. A page that does not name it is of another build. */
  readonly entry: string;
  /** Scripts and styles whose names change with their content. */
  readonly hashed: readonly string[];
  /** Files of the page whose names never change. */
  readonly fixed: readonly string[];
}

export interface Kept {
  readonly url: string;
  readonly first: 'network' | 'cache';
}

/** How a request is answered. `null`: the browser answers it as if there were no service worker. */
export function keptFor(
  { method, mode, url }: Pick<Request, 'method' | 'mode' | 'url'>,
  folder: string,
  { hashed, fixed }: Build,
): Kept | null {
  const { origin, pathname } = new URL(url);
  const address = origin + pathname;
  if (method !== 'GET' || !address.startsWith(folder)) return null;
  const name = address.slice(folder.length);
  // A person opens an address. Only the page is kept for that: no example, no file to download.
  if (mode === 'navigate')
    return name === '' || name === 'index.html' ? { url: folder, first: 'network' } : null;
  if (hashed.includes(name)) return { url: address, first: 'cache' };
  return fixed.includes(name) ? { url: address, first: 'network' } : null;
}

/**
 * The cache of a build. Caches belong to a host, and a host may have several banters in folders.
 */
export function cacheName(folder: string, version: string): string {
  return `banter ${folder} ${version}`;
}

/** Whether a cache is of some build of the page in this folder. */
export function isCacheOf(folder: string, name: string): boolean {
  return name.startsWith(cacheName(folder, ''));
}
