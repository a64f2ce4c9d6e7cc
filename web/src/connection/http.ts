/** Requests to the server. Nothing here throws: `null` means that it does not answer. */

/** Longer than any healthy server takes, short enough not to look like nothing happens. */
const PATIENCE_MS = 10_000;

export class Http {
  constructor(
    /** Ends with a slash. */
    readonly base: string,
    private readonly fetcher: typeof fetch = (...call) => fetch(...call),
  ) {}

  get(path: string): Promise<Response | null> {
    return this.call(path, {});
  }

  /** The JSON of a reply that is no error. */
  async read<T>(path: string, options: RequestInit = {}): Promise<T | null> {
    const response = await this.call(path, options);
    return response?.ok ? ((await this.body(response)) as T | null) : null;
  }

  /** The JSON of the reply to a question that has a body. */
  async ask<T>(path: string, question: unknown): Promise<T | null> {
    const response = await this.send('POST', path, question);
    return response?.ok ? ((await this.body(response)) as T | null) : null;
  }

  send(
    method: string,
    path: string,
    content: unknown,
    options: RequestInit = {},
  ): Promise<Response | null> {
    const headers = { ...options.headers, 'content-type': 'application/json' };
    return this.call(path, { ...options, method, headers, body: JSON.stringify(content) });
  }

  async call(path: string, options: RequestInit): Promise<Response | null> {
    try {
      const signal = AbortSignal.timeout(PATIENCE_MS);
      return await this.fetcher(this.base + path, { signal, ...options, cache: 'no-store' });
    } catch {
      return null;
    }
  }

  async body(response: Response): Promise<Record<string, unknown> | null> {
    try {
      const value: unknown = await response.json();
      return typeof value === 'object' && value !== null
        ? (value as Record<string, unknown>)
        : null;
    } catch {
      return null;
    }
  }
}
