/** A server's end of the socket in the hands of a test: what it is sent, and what it says when. */

import type { Page, WebSocketRoute } from 'playwright-core';

export interface SentMessage {
  readonly message?: string;
  readonly stop?: boolean;
  readonly history?: readonly { readonly role: string; readonly content: string }[];
}

export class FakeSocket {
  /** All that the page has sent. */
  readonly sent: SentMessage[] = [];
  private route: WebSocketRoute | null = null;
  private waiting: (() => void)[] = [];

  /** Takes the place of the server's socket from the next visit of the page on. */
  static async on(page: Page): Promise<FakeSocket> {
    const socket = new FakeSocket();
    await page.routeWebSocket(/\/ws$/, (route) => socket.open(route));
    return socket;
  }

  /** Resolves when the page has sent so many messages, stops included; with the last of them. */
  async receives(count: number): Promise<SentMessage> {
    while (this.sent.length < count)
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    return this.sent[count - 1]!;
  }

  /** Frames of an answer that goes on. */
  say(...frames: string[]): void {
    for (const frame of frames) this.route?.send(frame);
  }

  /** The rest of an answer, and its end. */
  end(...frames: string[]): void {
    this.endFor('end', ...frames);
  }

  /** The rest of an answer, and its end with the reason that the server gives. */
  endFor(reason: string, ...frames: string[]): void {
    this.say(...frames, JSON.stringify({ end: { reason, tokens: 2_048 } }), '');
  }

  fail(code: string): void {
    this.say(JSON.stringify({ error: { code, message: `because of ${code}` } }), '');
  }

  async close(): Promise<void> {
    await this.route?.close();
  }

  private open(route: WebSocketRoute): void {
    this.route = route;
    route.onMessage((text) => {
      this.sent.push(JSON.parse(String(text)) as SentMessage);
      for (const resolve of this.waiting.splice(0)) resolve();
    });
  }
}
