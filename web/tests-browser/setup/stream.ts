/** An answer whose pieces a test sends when it wants: the page's socket ends here. */

import type { Page, WebSocketRoute } from 'playwright-core';

declare global {
  interface Window {
    framesReceived: number;
  }
}

export class Stream {
  private socket: WebSocketRoute | null = null;
  private sent = 0;

  private constructor(private readonly page: Page) {}

  /** Takes over the sockets that `page` opens from now on; reload it to begin. */
  static async over(page: Page): Promise<Stream> {
    const stream = new Stream(page);
    await page.routeWebSocket('**/ws', (socket) => {
      stream.socket = socket;
      // Questions are not read: the test knows what it answers.
      socket.onMessage(() => undefined);
    });
    await page.addInitScript(() => {
      window.framesReceived = 0;
      const dispatch = EventTarget.prototype.dispatchEvent;
      EventTarget.prototype.dispatchEvent = function (event) {
        if (event.type === 'message') window.framesReceived += 1;
        return dispatch.call(this, event);
      };
    });
    return stream;
  }

  send(piece: string): void {
    if (!this.socket) throw new Error('the page has opened no socket');
    this.socket.send(piece);
    this.sent += 1;
  }

  end(): void {
    this.send('');
  }

  /** Resolves when all that was sent is drawn. */
  async drawn(): Promise<void> {
    await this.page.waitForFunction((sent) => window.framesReceived >= sent, this.sent);
    await this.page.evaluate(async () => {
      for (let frame = 0; frame < 2; frame += 1) await new Promise(requestAnimationFrame);
    });
  }
}
