/** A real browser, and pages that report everything they must never do. */

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  firefox,
  type Page,
} from 'playwright-core';
import { RUN } from './run';

const TOUCH = { isMobile: true, hasTouch: true, deviceScaleFactor: 2 };

/** Sizes of a page, with what belongs to the device. */
export const WIDE = { viewport: { width: 1280, height: 800 } };
export const PHONE = { ...TOUCH, viewport: { width: 390, height: 844 } };
export const SMALL_PHONE = { ...TOUCH, viewport: { width: 360, height: 740 } };

export function launchBrowser(): Promise<Browser> {
  return RUN.browser === 'firefox' ? launchFirefox() : launchChromium();
}

function launchChromium(): Promise<Browser> {
  return chromium.launch(chromiumOptions());
}

function chromiumOptions() {
  const executablePath = process.env.BANTER_CHROMIUM ?? '/usr/bin/chromium';
  // Containers run tests as root, where Chromium's own sandbox cannot start.
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  return { executablePath, args };
}

/**
 * A Chromium that keeps things in a folder, and gives frames of other sites storage of their own.
 * Browsers that block cookies of other sites, as Debian's does, give them none.
 */
export async function launchWithProfile(folder: string): Promise<BrowserContext> {
  const NEVER = 0;
  const profile = { cookie_controls_mode: NEVER, block_third_party_cookies: false };
  await mkdir(join(folder, 'Default'));
  await writeFile(join(folder, 'Default/Preferences'), JSON.stringify({ profile }));
  const options = { ...chromiumOptions(), ...contextOptions({}) };
  return chromium.launchPersistentContext(folder, options);
}

/** Firefox as distributions have it, which WebDriver BiDi drives. */
function launchFirefox(): Promise<Browser> {
  const executablePath = process.env.BANTER_FIREFOX ?? '/usr/bin/firefox-esr';
  // Without a screen it knows of no mouse: this one points finely (2) and hovers (4).
  const MOUSE = 2 + 4;
  const firefoxUserPrefs = {
    'ui.primaryPointerCapabilities': MOUSE,
    'ui.allPointerCapabilities': MOUSE,
  };
  return firefox.launch({ channel: 'moz-firefox', executablePath, firefoxUserPrefs });
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
  return visitIn(await browser.newContext(contextOptions(options)), url);
}

function contextOptions(options: BrowserContextOptions): BrowserContextOptions {
  return {
    ...(RUN.view === 'phone' ? PHONE : WIDE),
    locale: 'en-GB',
    // Only the tests of the service worker want one.
    serviceWorkers: 'block',
    ...options,
  };
}

export async function visitIn(context: BrowserContext, url: string): Promise<Visit> {
  const page = await context.newPage();
  const trouble = watch(page, new URL(url).host);
  await page.goto(url);
  return { page, trouble, close: () => context.close() };
}

/** As Chromium and as Firefox word it in the console. */
const POLICY_VIOLATION = /content security policy|violates the following directive/i;

function watch(page: Page, host: string): Trouble {
  const trouble: Trouble = { errors: [], policyViolations: [], outbound: [], dialogs: [] };
  page.on('pageerror', ({ message }) => {
    // Firefox reports a violation as an error.
    const list = POLICY_VIOLATION.test(message) ? trouble.policyViolations : trouble.errors;
    list.push(message);
  });
  page.on('console', (message) => {
    const text = message.text();
    if (POLICY_VIOLATION.test(text)) trouble.policyViolations.push(text);
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
