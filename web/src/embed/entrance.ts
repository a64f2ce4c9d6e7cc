/** The way in for visitors: a key that is no secret, and a secret of their own. */

import { asNotReady, type Entrance, type Entry } from '../connection/api';
import { Http } from '../connection/http';
import type { Hello } from '../wire';

/** How long it may take to find out whether the server is there at all. */
const PATIENCE_MS = 10_000;

export class VisitorEntrance implements Entrance {
  /** The server is there and lets no page of this site in. */
  isPageRefused = false;
  private readonly http: Http;

  constructor(
    private readonly host: string,
    private readonly key: string,
    private readonly secret: () => string,
    private readonly fetcher: typeof fetch = (...call) => fetch(...call),
  ) {
    // Whoever is signed in at the server is a visitor here.
    const anonymous: typeof fetch = (url, options) =>
      fetcher(url, { ...options, credentials: 'omit' });
    this.http = new Http(host, anonymous);
  }

  async enter(): Promise<Entry> {
    this.isPageRefused = false;
    const ready = await this.http.get('ready');
    if (ready?.ok) return { kind: 'ready', info: null };
    if (ready && ready.status !== 403) return asNotReady(await this.http.body(ready));
    // A browser tells a page that is not let in no more than one whose network is gone.
    if (!ready && !(await this.isThere())) return { kind: 'away' };
    this.isPageRefused = true;
    return { kind: 'locked' };
  }

  hello(): Hello {
    return { key: this.key, visitor: this.secret() };
  }

  /** Every page may load the script. */
  private async isThere(): Promise<boolean> {
    try {
      const signal = AbortSignal.timeout(PATIENCE_MS);
      const options = { mode: 'no-cors', method: 'HEAD', cache: 'no-store', signal } as const;
      await this.fetcher(`${this.host}embed.js`, { ...options, credentials: 'omit' });
      return true;
    } catch {
      return false;
    }
  }
}
