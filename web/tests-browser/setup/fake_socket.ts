/** A server's end of the socket in the hands of a test: what it is sent, and what it says when. */

import type { Page, WebSocketRoute } from 'playwright-core';

declare global {
  interface Window {
    framesReceived: number;
  }
}

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
  /** Frames sent to the page since it was loaded. */
  private said = 0;

  private constructor(private readonly page: Page) {}

  /** Takes the place of the server's socket from the next visit of the page on. */
  static async on(page: Page): Promise<FakeSocket> {
    const socket = new FakeSocket(page);
    await page.routeWebSocket(/\/ws$/, (route) => socket.open(route));
    await page.addInitScript(() => {
      window.framesReceived = 0;
      const dispatch = EventTarget.prototype.dispatchEvent;
      EventTarget.prototype.dispatchEvent = function (event) {
        if (event.type === 'message') window.framesReceived += 1;
        return dispatch.call(this, event);
      };
    });
    return socket;
  }

  /** Resolves when the page has sent this many messages, stops included; with the last of them. */
  async receives(count: number): Promise<SentMessage> {
    while (this.sent.length < count)
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    return this.sent[count - 1]!;
  }

  /** Frames of an answer that goes on. */
  say(...frames: string[]): void {
    if (!this.route) throw new Error('the page has opened no socket');
    for (const frame of frames) this.route.send(frame);
    this.said += frames.length;
  }

  /** Resolves when all that was said is drawn. */
  async drawn(): Promise<void> {
    await this.page.waitForFunction((said) => window.framesReceived >= said, this.said);
    await this.page.evaluate(async () => {
      for (let frame = 0; frame < 2; frame += 1) await new Promise(requestAnimationFrame);
    });
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
    this.said = 0;
    route.onMessage((text) => {
      this.sent.push(JSON.parse(String(text)) as SentMessage);
      for (const resolve of this.waiting.splice(0)) resolve();
    });
  }
}
