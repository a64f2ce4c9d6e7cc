/**
 * Pages of other origins try all that a page can try, in a browser that may use the server: because
 * it is on the same machine, or because somebody has signed in. They read nothing and change nothing.
 */

import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchBrowser } from './setup/browser';
import { pageWith, Site } from './setup/embedding';
import {
  type Aim,
  fetchEach,
  loadAsElements,
  lookIntoWindow,
  openEventSources,
  openSockets,
  openWindowOnPress,
  sendBeacons,
  showInFrames,
  submitForms,
} from './setup/foreign_page';
import { Victim } from './setup/victim';

let browser: Browser;
/** A site that the server allows. */
let friend: Site;
/** A site that it does not know. */
let stranger: Site;

beforeAll(async () => {
  [browser, friend, stranger] = await Promise.all([launchBrowser(), Site.start(), Site.start()]);
  for (const site of [friend, stranger]) site.put('/', pageWith(''));
  // Without an origin of its own: browsers send `null`.
  const sandbox = 'sandbox allow-scripts allow-forms allow-popups';
  stranger.put('/sandboxed', pageWith(''), { 'content-security-policy': sandbox });
});
afterAll(async () => {
  await Promise.all([browser?.close(), friend?.stop(), stranger?.stop()]);
});

const SANDBOX = 'a sandbox';

/** Where the foreign page is: another site, another port of the same site, nowhere. */
const PLACES = [
  ['another site', () => `${stranger.origin}/`],
  ['another port of the same host', sameHost],
  [SANDBOX, () => `${stranger.origin}/sandboxed`],
] as const;

/** The browser takes this one for the same site, so that it sends the session along. */
function sameHost({ url }: Victim): string {
  return `http://${new URL(url).hostname}:${new URL(stranger.origin).port}/`;
}

const FILES = ['/', '/admin', '/assets/theme.js', '/banter.webmanifest'];
const SOCKETS = ['/ws', '/ws?key=wrong', '/v1/responses'];
/** What everybody may fetch, which is not to say that a page may read it. */
const PUBLIC = /^(page|unknown|\/(openapi\.json|health|ready|embed|echo)|\/api\/session 405$)/;
/** A page that a browser shows instead of one that may not be framed. */
const REFUSED_FRAME = /^(chrome-error:|about:neterror)/;

const VICTIMS = [
  ['in a browser on this machine', () => Victim.onThisMachine(browser, friend.origin)],
  ['in a browser that is signed in', () => Victim.signedIn(browser, friend.origin)],
] as const;

describe.each(VICTIMS)('a5 %s', (_, begin) => {
  let victim: Victim;
  let aims: Aim[];

  beforeAll(async () => {
    victim = await begin();
    aims = await victim.aims();
  });
  afterAll(async () => victim?.close());

  describe.each(PLACES)('a page of %s', (where, address) => {
    it('reads nothing and changes nothing, whatever it sends', async () => {
      const page = await victim.open(address(victim));
      const before = await victim.state();
      const answered = await victim.requests();
      expect(await everything(page, victim, aims)).toEqual([]);
      const rows = grown(answered, await victim.requests());
      // Our own look is the last one.
      const others = rows.filter((row) => row !== '/metrics 200' && !PUBLIC.test(row));
      expect(others.filter((row) => !row.endsWith(' 403'))).toEqual([]);
      expect(others).toContain('/ws 403');
      expect(await victim.state()).toEqual(before);
      await page.close();
    });

    it('is refused what it sends while it is left', async () => {
      const page = await victim.open(address(victim));
      const before = await victim.state();
      const refusals = async () => (await victim.requests()).get('/api/conversations 403') ?? 0;
      const refused = await refusals();
      const beacon = { url: `${victim.url}/api/conversations`, body: '{}' };
      const WITHOUT_QUESTION = 3;
      expect(await page.evaluate(sendBeacons, beacon)).toBeGreaterThanOrEqual(WITHOUT_QUESTION);
      await expect.poll(refusals).toBeGreaterThanOrEqual(refused + WITHOUT_QUESTION);
      expect(await victim.state()).toEqual(before);
      await page.close();
    });

    it('shows nothing of the server in a frame', async () => {
      const page = await victim.open(address(victim));
      const other = `${friend.origin}/`;
      const paths = [
        '/',
        '/admin',
        '/embed',
        '/embed?key=wrong',
        '/api/conversations',
        '/v1/models',
      ];
      const urls = paths.map((path) => victim.url + path);
      expect(await page.evaluate(showInFrames, [...urls, other])).toEqual([]);
      const frames = () => page.frames().filter((frame) => frame !== page.mainFrame());
      const shown = () => frames().map((frame) => frame.url());
      const notRefused = () => new Set(shown().filter((url) => !REFUSED_FRAME.test(url)));
      // The page of somebody who does not mind shows that there is something to be seen.
      await expect.poll(notRefused).toEqual(new Set([other]));
      await page.close();
    });

    it('learns nothing of a window that it has opened, and cannot speak to it', async () => {
      const page = await victim.open(address(victim));
      const before = await victim.state();
      await page.evaluate(openWindowOnPress, `${victim.url}/?q=stolen`);
      const opened = page.waitForEvent('popup');
      await page.getByRole('button', { name: 'Open' }).click();
      const popup = await opened;
      // For a sandbox browsers show an error, which in Firefox never ends to load.
      await popup.waitForLoadState('domcontentloaded');
      const messages = [{ type: 'hello' }, '{"type":"stop"}', 'delete'];
      expect(await page.evaluate(lookIntoWindow, messages)).toEqual([]);
      const shown = await popup.evaluate(() => ({
        isOurs: document.querySelector('script[src*="assets/"]') !== null,
        knowsOpener: window.opener !== null,
      }));
      expect(shown.isOurs && shown.knowsOpener).toBe(false);
      expect(shown.isOurs).toBe(where !== SANDBOX);
      await popup.close();
      await expect.poll(() => victim.state()).toEqual(before);
      await page.close();
    });
  });
});

describe.each(VICTIMS)('a5 %s the same attempts', (_, begin) => {
  let victim: Victim;

  beforeAll(async () => {
    victim = await begin();
  });
  afterAll(async () => victim?.close());

  it('read and change what they are about, from the own page', async () => {
    const page = await victim.open(victim.url);
    const { id } = await victim.conversation();
    const [all, one] = [`${victim.url}/api/conversations`, `${victim.url}/api/conversations/${id}`];
    const sockets = SOCKETS.map((path) => victim.url.replace('http', 'ws') + path);
    const rename = { method: 'PATCH', url: one, body: '{"title":"ours"}' };
    expect(await page.evaluate(fetchEach, [rename])).toContain(`PATCH ${one}: 200`);
    expect(await victim.read('/api/conversations')).toContain('"title":"ours"');
    expect(await page.evaluate(openSockets, sockets)).toEqual(
      expect.arrayContaining([sockets[0], `${sockets[0]} banter.v1`]),
    );
    const stream = `${victim.url}/api/stream`;
    expect(await page.evaluate(openEventSources, [stream])).toEqual([stream, stream]);
    const script = `${victim.url}/assets/theme.js`;
    expect(await page.evaluate(loadAsElements, [script])).toContain(`script ${script}`);
    const count = async () => (await victim.read('/api/conversations')).split('"id"').length;
    const before = await count();
    await page.evaluate(sendBeacons, { url: all, body: '{}' });
    await expect.poll(count).toBeGreaterThan(before);
    const remove = { method: 'DELETE', url: one };
    expect(await page.evaluate(fetchEach, [remove])).toContain(`DELETE ${one}: 204`);
    await expect(victim.read(`/api/conversations/${id}`)).rejects.toThrow('404');
    await page.close();
  });

  it('from an allowed page read what a key is not needed for', async () => {
    const page = await victim.open(`${friend.origin}/`);
    const [url, socket] = [`${victim.url}/v1/models`, `${victim.url.replace('http', 'ws')}/ws`];
    const models = await page.evaluate(fetchEach, [{ method: 'GET', url }]);
    const sockets = await page.evaluate(openSockets, [socket]);
    // The session belongs to the own page alone. In banter.v1 a key may come after the handshake.
    const inV1 = `${socket} banter.v1`;
    expect(models).toEqual(victim.needsKey ? [] : [`GET ${url}: 200`]);
    expect(sockets).toEqual(victim.needsKey ? [inV1] : [socket, inV1]);
    await page.close();
  });
});

/** All that a page can send and ask for, and what it could read of the answers. */
async function everything(page: Page, victim: Victim, aims: readonly Aim[]): Promise<string[]> {
  expect(aims.length).toBeGreaterThan(40);
  const urls = (wanted: string) =>
    aims.filter(({ method }) => method === wanted).map(({ url }) => url);
  const others = ['HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'].map((method) => ({
    method,
    url: urls('PATCH')[0]!,
  }));
  const files = FILES.map((path) => victim.url + path);
  const sockets = SOCKETS.map((path) => victim.url.replace('http', 'ws') + path);
  return [
    await page.evaluate(fetchEach, [...aims, ...others]),
    await page.evaluate(openSockets, sockets),
    await page.evaluate(openEventSources, urls('GET')),
    await page.evaluate(loadAsElements, [...urls('GET'), ...files]),
    await page.evaluate(submitForms, { urls: urls('POST'), body: '{}' }),
  ].flat();
}

/** The routes and statuses that have come up in between. */
function grown(before: Map<string, number>, after: Map<string, number>): string[] {
  return [...after.keys()].filter((row) => after.get(row)! > (before.get(row) ?? 0));
}
