/**
 * The service worker: it opens the page while the server is away, and changes nothing while the
 * server is there.
 *
 *     the page, theme.js     from the network; if that fails, as kept
 *     scripts and styles     as kept: when their content changes, their names change
 *     everything else        left to the browser
 *
 * Each build makes its own service worker, which keeps the files of that build in a cache of its
 * own. So a browser that opens a new page finds a new service worker, too, which takes the place of
 * the old one at once and deletes the old files. Files are kept when the service worker is
 * installed, and only if all are of its build; nothing that the server answers later is ever kept.
 */

import { type Build, cacheName, isCacheOf, keptFor } from './kept';

declare const BUILD: Build;

// TypeScript's own types of a worker clash with those of the page.
interface WorkerEvent extends Event {
  waitUntil(work: Promise<unknown>): void;
}

interface RequestEvent extends WorkerEvent {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
}

interface ServiceWorkerScope {
  readonly registration: ServiceWorkerRegistration;
  readonly clients: { claim(): Promise<void> };
  skipWaiting(): Promise<void>;
  addEventListener(kind: 'install' | 'activate', act: (event: WorkerEvent) => void): void;
  addEventListener(kind: 'fetch', act: (event: RequestEvent) => void): void;
}

const build = BUILD;
const scope = self as unknown as ServiceWorkerScope;
const folder = scope.registration.scope;
const ownCache = cacheName(folder, build.version);

scope.addEventListener('install', (event) => event.waitUntil(install()));
scope.addEventListener('activate', (event) => event.waitUntil(activate()));
scope.addEventListener('fetch', (event) => {
  const kept = keptFor(event.request, folder, build);
  if (kept?.first === 'cache') event.respondWith(fromCache(event.request, kept.url));
  if (kept?.first === 'network') event.respondWith(fromNetwork(event.request, kept.url));
  if (event.request.mode === 'navigate') event.waitUntil(tidy());
});

async function install(): Promise<void> {
  await keep();
  await scope.skipWaiting();
}

/** Keeps the files of this build, if the server has them. */
async function keep(): Promise<void> {
  const page = await fetch(folder);
  const isOwn = !page.redirected && (await page.clone().text()).includes(build.entry);
  // It may be that of another build, or one where people sign in to a proxy.
  if (!isOwn) throw new Error('the server sends another page');
  const cache = await caches.open(ownCache);
  await cache.addAll([...build.hashed, ...build.fixed].map((name) => folder + name));
  // The page is last: where it is kept, all of its files are.
  await cache.put(folder, page);
}

async function activate(): Promise<void> {
  const names = await caches.keys();
  const old = names.filter((name) => isCacheOf(folder, name) && name !== ownCache);
  await Promise.all(old.map((name) => caches.delete(name)));
  await scope.clients.claim();
}

async function fromCache(request: Request, url: string): Promise<Response> {
  return (await find(url)) ?? fetch(request);
}

async function fromNetwork(request: Request, url: string): Promise<Response> {
  try {
    const response = await fetch(request);
    return response.headers.has('www-authenticate') ? await askBrowser(request) : response;
  } catch (error) {
    const kept = await find(url);
    if (kept) return kept;
    throw error;
  }
}

/**
 * Has the browser load the page itself. Only then does it show the dialog for the name and password
 * that a proxy asks for. The page registers the service worker again.
 */
async function askBrowser({ url }: Request): Promise<Response> {
  await scope.registration.unregister();
  return Response.redirect(url);
}

/** Makes up for what has changed around the service worker since it was installed. */
async function tidy(): Promise<void> {
  const script = await fetch('sw.js', { method: 'HEAD' }).catch(() => null);
  if (script?.status === 404) {
    // The server is an older one, or another program. Browsers would go on without end.
    await caches.delete(ownCache);
    await scope.registration.unregister();
  } else if (script?.ok && !(await find(folder))) {
    // Someone has signed out, which removes what is kept.
    await keep();
  }
}

function find(url: string): Promise<Response | undefined> {
  // Every form of a file has the same content.
  return caches.match(url, { cacheName: ownCache, ignoreVary: true });
}
