/** A real Chromium, and pages that report everything they must never do. */

import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';

export const WIDE = { width: 1280, height: 800 };
export const PHONE = { width: 360, height: 740 };

export async function launchBrowser(): Promise<Browser> {
  const executablePath = process.env.BANTER_CHROMIUM ?? '/usr/bin/chromium';
  // Containers run tests as root, where Chromium's own sandbox cannot start.
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  return chromium.launch({ executablePath, args });
}

/** What went wrong in a page; every list is empty in a healthy one. */
export interface Trouble {
  /** Uncaught errors, and what the page itself reported as an error. */
  readonly errors: string[];
  readonly policyViolations: string[];
  /** Requests that left for another address than the page's own. */
  readonly outbound: string[];
  readonly dialogs: string[];
}

export interface Visit {
  readonly page: Page;
  readonly trouble: Trouble;
  close(): Promise<void>;
}

export async function visit(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<Visit> {
  const context = await browser.newContext({
    viewport: WIDE,
    locale: 'en-GB',
    // Only the tests of the service worker want one.
    serviceWorkers: 'block',
    ...options,
  });
  const page = await context.newPage();
  const trouble = watch(page, new URL(url).host);
  await page.goto(url);
  return { page, trouble, close: () => context.close() };
}

function watch(page: Page, host: string): Trouble {
  const trouble: Trouble = { errors: [], policyViolations: [], outbound: [], dialogs: [] };
  page.on('pageerror', ({ message }) => trouble.errors.push(message));
  page.on('console', (message) => {
    const text = message.text();
    if (/content security policy/i.test(text)) trouble.policyViolations.push(text);
    // A server that is away is reported by the browser itself; that is no fault of the page.
    else if (
      message.type() === 'error' &&
      !/Failed to load resource|WebSocket connection/.test(text)
    )
      trouble.errors.push(text);
  });
  page.on('request', (request) => {
    const { host: target, protocol } = new URL(request.url());
    if (protocol !== 'data:' && target !== host) trouble.outbound.push(request.url());
  });
  page.on('dialog', (dialog) => {
    trouble.dialogs.push(dialog.message());
    void dialog.dismiss();
  });
  return trouble;
}

export const NO_TROUBLE: Trouble = { errors: [], policyViolations: [], outbound: [], dialogs: [] };
