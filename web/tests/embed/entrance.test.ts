import { describe, expect, it } from 'vitest';
import { VisitorEntrance } from '../../src/embed/entrance';

const HOST = 'https://chat.example/';

/** An entrance whose browser gets these replies; `null` is one that the browser keeps back. */
function entrance(replies: { ready: Response | null; script: Response | null }) {
  const asked: { url: string; options: RequestInit }[] = [];
  const fetcher = (async (url: string, options: RequestInit) => {
    asked.push({ url, options });
    const reply = url === `${HOST}ready` ? replies.ready : replies.script;
    if (!reply) throw new TypeError('Failed to fetch');
    return reply;
  }) as typeof fetch;
  return { asked, entrance: new VisitorEntrance(HOST, 'the-key', () => 'a-secret', fetcher) };
}

const opaque = () => new Response(null);
const json = (status: number, body: object) => new Response(JSON.stringify(body), { status });

describe('the way in of a visitor', () => {
  it('is open where the server is ready, and nobody is told who is signed in', async () => {
    const { asked, entrance: way } = entrance({ ready: json(200, {}), script: null });
    expect(await way.enter()).toEqual({ kind: 'ready', info: null });
    expect(asked).toHaveLength(1);
    expect(asked[0]?.options.credentials).toBe('omit');
  });

  it('says that a model is loading', async () => {
    const ready = json(503, { status: 'loading', progress: 0.5 });
    const { entrance: way } = entrance({ ready, script: null });
    expect(await way.enter()).toEqual({ kind: 'loading', progress: 0.5 });
  });

  it('tells a page that may not use the server from a server that is away', async () => {
    const refused = entrance({ ready: null, script: opaque() });
    expect(await refused.entrance.enter()).toEqual({ kind: 'locked' });
    expect(refused.entrance.isPageRefused).toBe(true);
    const away = entrance({ ready: null, script: null });
    expect(await away.entrance.enter()).toEqual({ kind: 'away' });
    expect(away.entrance.isPageRefused).toBe(false);
    for (const { options } of [...refused.asked, ...away.asked])
      expect(options.credentials).toBe('omit');
  });

  it('shows key and secret in the first event', () => {
    const { entrance: way } = entrance({ ready: null, script: null });
    expect(way.hello()).toEqual({ key: 'the-key', visitor: 'a-secret' });
  });
});
