/** The server's HTTP routes. Nothing here throws: the return types tell what can happen. */

import type { HistoryEntry } from '../conversation/request';
import type { Info, ModelList } from '../wire';

/** Longer than any healthy server takes, short enough not to look like nothing happens. */
const PATIENCE_MS = 10_000;

/** What is said of tokens where nobody counts them. */
const NOT_IMPLEMENTED = 501;
/** What a name gets that is none. */
const NO_NAME = 400;

export type Entry =
  | { kind: 'ready'; info: Info }
  | { kind: 'loading'; progress: number }
  | { kind: 'stalled' }
  | { kind: 'unreachable'; detail: string }
  | { kind: 'locked' }
  | { kind: 'away' };

export type Credential = { code: string } | { key: string };

export class Api {
  private cannotCount = false;

  constructor(
    private readonly base: string,
    private readonly fetcher: typeof fetch = (...call) => fetch(...call),
  ) {}

  /** Asks whether there is a server, whether it lets us in and whether it can answer. */
  async enter(): Promise<Entry> {
    const ready = await this.get('ready');
    if (!ready) return { kind: 'away' };
    if (ready.status === 401) return { kind: 'locked' };
    if (!ready.ok) return asNotReady(await body(ready));
    const info = await this.get('api/info');
    if (!info) return { kind: 'away' };
    if (info.status === 401) return { kind: 'locked' };
    const facts = info.ok ? await body(info) : null;
    return facts ? { kind: 'ready', info: facts as unknown as Info } : { kind: 'away' };
  }

  /** Exchanges a code or a key for a cookie. */
  async signIn(credential: Credential): Promise<'in' | 'refused' | 'too_often' | 'away'> {
    const response = await this.post('api/session', credential);
    if (response?.status === 429) return 'too_often';
    if (!response || response.status >= 500) return 'away';
    return response.ok ? 'in' : 'refused';
  }

  /** Ends the session of this browser; returns whether that is sure. */
  async signOut(): Promise<boolean> {
    const response = await this.call('api/session', { method: 'DELETE' });
    return response?.ok ?? false;
  }

  /** How many of the oldest messages the model would not read; `null` where that is not known. */
  async droppedMessages(
    messages: readonly HistoryEntry[],
    maxTokens: number | null,
  ): Promise<number | null> {
    if (this.cannotCount) return null;
    const response = await this.post('tokenize', { messages, max_tokens: maxTokens });
    // An engine may turn out not to count although its kind does.
    this.cannotCount = response?.status === NOT_IMPLEMENTED;
    const count = response?.ok ? (await body(response))?.dropped_messages : null;
    return typeof count === 'number' ? count : null;
  }

  /** `null` when the server does not answer, or has no models to choose from. */
  async models(): Promise<ModelList | null> {
    const response = await this.get('api/models');
    return response?.ok ? ((await body(response)) as ModelList | null) : null;
  }

  /** Begins to pull or to switch, or stops a pull. Returns why the server refused, if it did. */
  async changeModels(
    what: 'pull' | 'switch' | 'stop',
    order: object,
  ): Promise<{ said: string; isNoName: boolean } | null> {
    const response = await this.post(`api/models/${what}`, order);
    if (!response) return { said: '', isNoName: false };
    if (response.ok) return null;
    const error = (await body(response))?.error;
    const said = (error as { message?: string } | undefined)?.message ?? '';
    return { said, isNoName: response.status === NO_NAME };
  }

  private get(path: string): Promise<Response | null> {
    return this.call(path, {});
  }

  private post(path: string, content: unknown): Promise<Response | null> {
    const headers = { 'content-type': 'application/json' };
    return this.call(path, { method: 'POST', headers, body: JSON.stringify(content) });
  }

  private async call(path: string, options: RequestInit): Promise<Response | null> {
    try {
      const signal = AbortSignal.timeout(PATIENCE_MS);
      return await this.fetcher(this.base + path, { ...options, cache: 'no-store', signal });
    } catch {
      return null;
    }
  }
}

function asNotReady(status: Record<string, unknown> | null): Entry {
  if (status?.status === 'stalled') return { kind: 'stalled' };
  if (status?.status === 'unreachable')
    return { kind: 'unreachable', detail: typeof status.reason === 'string' ? status.reason : '' };
  if (status?.status !== 'loading') return { kind: 'away' };
  return { kind: 'loading', progress: typeof status.progress === 'number' ? status.progress : 0 };
}

async function body(response: Response): Promise<Record<string, unknown> | null> {
  try {
    const value: unknown = await response.json();
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
