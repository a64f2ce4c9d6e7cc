/**
 * Has the browser keep the page for when the server is away: see `service_worker.ts`.
 *
 * Browsers have service workers only at `https:` addresses and at this machine's own; elsewhere,
 * and where the person forbids them, the page works without.
 */

import { isCacheOf } from './kept';

/** Starts once the page has loaded, so that it takes nothing from what is needed first. */
export function registerServiceWorker(): void {
  if (!import.meta.env.PROD || !('serviceWorker' in navigator)) return;
  if (document.readyState === 'complete') whenIdle(() => void register());
  else window.addEventListener('load', () => whenIdle(() => void register()), { once: true });
}

/** Removes what is kept. It is kept again when the page is next loaded. */
export async function forgetPage(): Promise<void> {
  try {
    const folder = new URL('./', location.href).href;
    const names = (await caches.keys()).filter((name) => isCacheOf(folder, name));
    await Promise.all(names.map((name) => caches.delete(name)));
  } catch {
    // Nothing can have been kept where there are no caches, or the browser blocks them.
  }
}

async function register(): Promise<void> {
  try {
    const registration = await navigator.serviceWorker.register('./sw.js');
    // Browsers look for a new one by themselves, but may put that off.
    if (registration.active) await registration.update();
  } catch {
    // The page needs it for nothing, so whatever speaks against it is no fault of the page.
  }
}

function whenIdle(run: () => void): void {
  if ('requestIdleCallback' in window) requestIdleCallback(run);
  else setTimeout(run);
}
