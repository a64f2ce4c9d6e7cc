/**
 * Addresses of the server, derived from the page's own: same host, same path, `wss` under https.
 */

export interface Addresses {
  /** Ends with a slash; the HTTP routes are below it. */
  readonly base: string;
  readonly socket: string;
  /** Of streams, where no WebSocket comes through. */
  readonly stream: string;
}

export function addressesOf(page: string): Addresses {
  const base = new URL('./', page);
  base.search = '';
  base.hash = '';
  const socket = new URL('ws', base);
  socket.protocol = base.protocol === 'https:' ? 'wss:' : 'ws:';
  return { base: base.href, socket: socket.href, stream: new URL('api/stream', base).href };
}
