/**
 * What the address asks of the page when another program opens it: the shortcut of an installed
 * page opens `?new`, and what is shared with it comes as `?q=` (see `banter.webmanifest`).
 *
 * Any website can link to such an address. So its text is only put into the composer, never sent.
 */

const SHARED = ['title', 'q', 'url'] as const;

export interface Launch {
  readonly startsNew: boolean;
  /** For the composer; empty if nothing was shared. */
  readonly text: string;
}

export function readLaunch(search: string): Launch {
  const query = new URLSearchParams(search);
  const shared = SHARED.map((name) => query.get(name)?.trim() ?? '').filter((part) => part !== '');
  // Some programs put the same words or link into two of them.
  const text = [...new Set(shared)].join('\n');
  return { startsNew: query.has('new') || text !== '', text };
}

/** The rest of the query, so that a reload does not ask for the same again. */
export function withoutLaunch(search: string): string {
  const query = new URLSearchParams(search);
  for (const name of ['new', ...SHARED]) query.delete(name);
  return query.size === 0 ? '' : `?${query}`;
}
