/** What a page sends on its sockets. Playwright tells it in Chromium only. */

import type { Page } from 'playwright-core';

export interface SentFrame {
  /** The address of the socket. */
  readonly url: string;
  readonly text: string;
}

declare global {
  interface Window {
    sentFrames: SentFrame[];
  }
}

/** Begins to record, in the page that is shown and in those that are loaded later. */
export async function recordFrames(page: Page): Promise<void> {
  await page.addInitScript(record);
  await page.evaluate(record);
}

/** What was sent since the page was loaded. */
export function framesSent(page: Page): Promise<SentFrame[]> {
  return page.evaluate(() => window.sentFrames);
}

/** Runs in the browser. */
function record(): void {
  window.sentFrames = [];
  const send = WebSocket.prototype.send;
  WebSocket.prototype.send = function (data) {
    window.sentFrames.push({ url: this.url, text: String(data) });
    return send.call(this, data);
  };
}
