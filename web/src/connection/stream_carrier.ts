/**
 * Carries frames where no WebSocket comes through: those of the server as a stream of server-sent
 * events, those of the page as requests, one after the other.
 */

import {
  type Carrier,
  type CarrierEvents,
  CLOSE_TOO_LONG,
  CLOSE_WITHOUT_WORD,
  type Opener,
} from './carrier';

/** The status of a request that is longer than the server takes. */
const TOO_LONG = 413;
/** How long the server may take for a frame. */
const PATIENCE_MS = 20_000;

/** `address`: that of new streams, without a slash at its end. */
export const streamOpener =
  (address: string): Opener =>
  (events) =>
    new StreamCarrier(address, events);

class StreamCarrier implements Carrier {
  private readonly ending = new AbortController();
  private id: string | null = null;
  private sending = Promise.resolve();

  constructor(
    private readonly address: string,
    private readonly events: CarrierEvents,
  ) {
    void this.read();
  }

  get isOpen(): boolean {
    return this.id !== null && !this.ending.signal.aborted;
  }

  send(frame: string): void {
    this.sending = this.sending.then(() => this.post(frame));
  }

  close(): void {
    this.end(CLOSE_WITHOUT_WORD);
  }

  private async post(frame: string): Promise<void> {
    const { signal } = this.ending;
    if (signal.aborted) return;
    try {
      const response = await fetch(`${this.address}/${this.id}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: frame,
        cache: 'no-store',
        signal: AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]),
      });
      if (response.status === TOO_LONG) this.end(CLOSE_TOO_LONG);
      else if (!response.ok) this.end(CLOSE_WITHOUT_WORD);
    } catch {
      this.end(CLOSE_WITHOUT_WORD);
    }
  }

  private async read(): Promise<void> {
    try {
      const { signal } = this.ending;
      const response = await fetch(this.address, { cache: 'no-store', signal });
      if (response.ok && response.body) await this.follow(response.body);
    } catch {
      // It was let go of, or the connection is gone.
    }
    this.end(CLOSE_WITHOUT_WORD);
  }

  private async follow(body: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    for (;;) {
      const { value, done } = await reader.read();
      if (done || this.ending.signal.aborted) return;
      const parts = (rest + value).split('\n\n');
      rest = parts.pop()!;
      for (const part of parts) this.take(part);
    }
  }

  /** One server-sent event, or a comment. */
  private take(part: string): void {
    if (this.ending.signal.aborted) return;
    const [, name, data] = /^(?:event: (\w+)\n)?data: (.*)$/.exec(part) ?? [];
    if (data === undefined) return this.events.alive();
    switch (name) {
      case undefined:
        return this.events.frame(data);
      case 'open':
        this.id = (JSON.parse(data) as { stream: string }).stream;
        return this.events.opened();
      case 'close':
        return this.end((JSON.parse(data) as { code: number }).code);
    }
  }

  private end(code: number): void {
    if (this.ending.signal.aborted) return;
    this.ending.abort();
    // Like that of a WebSocket, never before the caller has gone on.
    queueMicrotask(() => this.events.closed(code));
  }
}
