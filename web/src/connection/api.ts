/**
 * The server's HTTP routes, except those for conversations. Nothing here throws: the return types
 * tell what can happen.
 */

import type { Http } from './http';
import type { DeviceLink, Hello, Info, ModelList, TokenizedText } from '../wire';

/** What a name gets that is none. */
const NO_NAME = 400;

export type Entry =
  /** With what is known of the model; a visitor is told nothing of it. */
  | { kind: 'ready'; info: Info | null }
  | { kind: 'loading'; progress: number }
  | { kind: 'stalled' }
  | { kind: 'unreachable'; detail: string }
  | { kind: 'locked' }
  | { kind: 'away' };

/** The way in: whether there is one now, and what is said first on a new socket. */
export interface Entrance {
  enter(): Promise<Entry>;
  hello(): Hello;
}

export type Credential = { code: string } | { key: string };

export class Api implements Entrance {
  constructor(private readonly http: Http) {}

  /** The cookie says who is here. */
  hello(): Hello {
    return {};
  }

  /** Asks whether there is a server, whether it lets us in and whether it can answer. */
  async enter(): Promise<Entry> {
    // Both at once: a page that is loaded again waits for them before it shows anything.
    const [ready, info] = await Promise.all([this.http.get('ready'), this.http.get('api/info')]);
    if (!ready) return { kind: 'away' };
    if (ready.status === 401) return { kind: 'locked' };
    if (!ready.ok) return asNotReady(await this.http.body(ready));
    if (!info) return { kind: 'away' };
    if (info.status === 401) return { kind: 'locked' };
    const facts = info.ok ? await this.http.body(info) : null;
    return facts ? { kind: 'ready', info: facts as unknown as Info } : { kind: 'away' };
  }

  /** Exchanges a code or a key for a cookie. */
  async signIn(credential: Credential): Promise<'in' | 'refused' | 'too_often' | 'away'> {
    const response = await this.http.send('POST', 'api/session', credential);
    if (response?.status === 429) return 'too_often';
    if (!response || response.status >= 500) return 'away';
    return response.ok ? 'in' : 'refused';
  }

  /** Ends the session of this browser; returns whether that is sure. */
  async signOut(): Promise<boolean> {
    const response = await this.http.call('api/session', { method: 'DELETE' });
    return response?.ok ?? false;
  }

  /** A link that signs in another device; `null` when no other device can reach the server. */
  async deviceLink(): Promise<DeviceLink | 'away' | null> {
    const response = await this.http.send('POST', 'api/session/link', {});
    if (!response || response.status >= 500) return 'away';
    return response.ok ? ((await this.http.body(response)) as unknown as DeviceLink | null) : null;
  }

  /** How many tokens a text has; `null` where nobody counts. */
  async countTokens(text: string): Promise<number | null> {
    const counted = await this.http.ask<TokenizedText>('tokenize', { text });
    return counted?.tokens ?? null;
  }

  /**
   * `null` when the server does not answer, or has no models to choose from. With a key, what that
   * key may do counts instead of the session.
   */
  models(key: string | null): Promise<ModelList | null> {
    return this.http.read<ModelList>('api/models', withKey(key));
  }

  /** Begins to pull or to switch, or stops a pull. Returns why the server refused, if it did. */
  async changeModels(
    what: 'pull' | 'switch' | 'stop',
    order: object,
    key: string | null,
  ): Promise<{ said: string; isNoName: boolean } | null> {
    const response = await this.http.send('POST', `api/models/${what}`, order, withKey(key));
    if (!response) return { said: '', isNoName: false };
    if (response.ok) return null;
    const error = (await this.http.body(response))?.error;
    const said = (error as { message?: string } | undefined)?.message ?? '';
    return { said, isNoName: response.status === NO_NAME };
  }
}

/** A request may have one credential only, so the session's cookie stays at home. */
function withKey(key: string | null): RequestInit {
  if (key === null) return {};
  return { headers: { authorization: `Bearer ${key}` }, credentials: 'omit' };
}

export function asNotReady(status: Record<string, unknown> | null): Entry {
  if (status?.status === 'stalled') return { kind: 'stalled' };
  if (status?.status === 'unreachable')
    return { kind: 'unreachable', detail: typeof status.reason === 'string' ? status.reason : '' };
  if (status?.status !== 'loading') return { kind: 'away' };
  return { kind: 'loading', progress: typeof status.progress === 'number' ? status.progress : 0 };
}
