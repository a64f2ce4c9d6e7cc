/**
 * What a page can try on a server that it does not come from. Each function runs within the page,
 * so it uses nothing from outside, and returns what the page could read: nothing, if all is well.
 */

export interface Aim {
  readonly method: string;
  readonly url: string;
  readonly body?: string;
}

/** Asks by `fetch`, as a page that wants to read and as one that only wants an effect. */
export async function fetchEach(aims: readonly Aim[]): Promise<string[]> {
  const ask = async ({ method, url, body }: Aim, settings: RequestInit): Promise<string[]> => {
    const isPlain = settings.mode === 'no-cors';
    const headers = { 'content-type': isPlain ? 'text/plain' : 'application/json' };
    const sent = body === undefined ? {} : { body, headers };
    try {
      const response = await fetch(url, { method, ...sent, ...settings });
      await response.body?.cancel();
      return response.type === 'opaque' ? [] : [`${method} ${url}: ${response.status}`];
    } catch {
      return [];
    }
  };
  const ways: RequestInit[] = (['cors', 'no-cors'] as const).flatMap((mode) =>
    (['include', 'omit'] as const).map((credentials) => ({ mode, credentials })),
  );
  const read: string[] = [];
  for (const aim of aims) {
    const all = await Promise.all(ways.map((way) => ask(aim, way)));
    read.push(...new Set(all.flat()));
  }
  return read;
}

/** Opens WebSockets, with and without the name of a language, and says hello. */
export async function openSockets(urls: readonly string[]): Promise<string[]> {
  const open = (url: string, language: string) =>
    new Promise<string[]>((done) => {
      const socket = new WebSocket(url, language === '' ? [] : [language]);
      socket.onopen = () => {
        socket.send(language === '' ? 'hello' : '{"type":"hello"}');
        done([`${url} ${language}`.trim()]);
        socket.close();
      };
      socket.onerror = () => done([]);
    });
  const all = urls.flatMap((url) => ['', 'banter.v1'].map((language) => open(url, language)));
  return (await Promise.all(all)).flat();
}

/** Follows streams, as the browser's own reader of events does. */
export async function openEventSources(urls: readonly string[]): Promise<string[]> {
  const open = (url: string, withCredentials: boolean) =>
    new Promise<string[]>((done) => {
      const source = new EventSource(url, { withCredentials });
      const end = (read: string[]) => (source.close(), done(read));
      source.onopen = () => end([url]);
      source.onerror = () => end([]);
    });
  const all = urls.flatMap((url) => [false, true].map((credentials) => open(url, credentials)));
  return (await Promise.all(all)).flat();
}

/** Loads addresses as pictures, scripts, style sheets and so on; `load` tells that it worked. */
export async function loadAsElements(urls: readonly string[]): Promise<string[]> {
  const load = (element: HTMLElement, name: string, event = 'load') =>
    new Promise<string[]>((done) => {
      const end = (read: string[]) => (element.remove(), done(read));
      element.addEventListener(event, () => end([name]), { once: true });
      element.addEventListener('error', () => end([]), { once: true });
      document.body.append(element);
    });
  const media = (url: string, tag: 'audio' | 'video') => {
    const element = Object.assign(document.createElement(tag), { preload: 'metadata', src: url });
    return load(element, `${tag} ${url}`, 'loadedmetadata');
  };
  const prefetch = async (url: string) => {
    const link = { rel: 'prefetch', href: url };
    await load(Object.assign(document.createElement('link'), link), '');
    // Firefox says `load` whatever has come, so it tells nothing.
    return [];
  };
  const module = async (url: string) => {
    const script = Object.assign(document.createElement('script'), { type: 'module', src: url });
    return load(script, `module ${url}`);
  };
  const crossOrigin = (url: string, mode: string | null) => {
    const of = <T extends HTMLElement>(element: T) => Object.assign(element, { crossOrigin: mode });
    const link = { rel: 'stylesheet', href: url };
    return [
      load(Object.assign(of(document.createElement('img')), { src: url }), `img ${url}`),
      load(Object.assign(of(document.createElement('script')), { src: url }), `script ${url}`),
      load(Object.assign(of(document.createElement('link')), link), `stylesheet ${url}`),
    ];
  };
  const read: string[] = [];
  for (const url of urls) {
    const all = await Promise.all([
      ...[null, 'anonymous', 'use-credentials'].flatMap((mode) => crossOrigin(url, mode)),
      ...(['audio', 'video'] as const).map((tag) => media(url, tag)),
      prefetch(url),
      module(url),
    ]);
    read.push(...new Set(all.flat()));
  }
  return read;
}

/** Sends forms into frames: by `get`, and by `post` in the three encodings. */
export async function submitForms({
  urls,
  body,
}: {
  urls: readonly string[];
  body: string;
}): Promise<string[]> {
  const submit = (url: string, method: string, enctype: string) =>
    new Promise<string[]>((done) => {
      const frame = document.createElement('iframe');
      const form = document.createElement('form');
      // In `text/plain` the name and the value, with a `=` in between, make a JSON object.
      const [name, value] = [body.replace(/\}$/, ',"x":"'), '"}'];
      const field = Object.assign(document.createElement('input'), { name, value });
      frame.name = `frame-${Math.random()}`;
      document.body.append(frame, form);
      Object.assign(form, { action: url, method, enctype, target: frame.name });
      form.append(field);
      frame.onload = () => {
        let text: string | undefined;
        try {
          text = frame.contentDocument?.body.innerText;
        } catch {
          // A document of another origin.
        }
        frame.remove();
        form.remove();
        done(text === undefined ? [] : [`form ${method} ${enctype} ${url}: ${text}`]);
      };
      form.submit();
    });
  const encodings = ['application/x-www-form-urlencoded', 'multipart/form-data', 'text/plain'];
  const read: string[] = [];
  for (const url of urls) {
    const posts = encodings.map((enctype) => submit(url, 'post', enctype));
    read.push(...(await Promise.all([...posts, submit(url, 'get', encodings[0]!)])).flat());
  }
  return read;
}

/** Sends what a page may still send while it is left. A beacon tells nothing of its fate. */
export function sendBeacons({ url, body }: { url: string; body: string }): number {
  const types = ['text/plain', 'application/x-www-form-urlencoded', 'application/json'];
  const bodies = types.map((type) => new Blob([body], { type }));
  return [body, ...bodies].filter((one) => navigator.sendBeacon(url, one)).length;
}

/** Shows addresses in frames of all kinds, and returns what could be read of them. */
export async function showInFrames(urls: readonly string[]): Promise<string[]> {
  const show = (tag: 'embed' | 'iframe' | 'object', url: string) =>
    new Promise<string[]>((done) => {
      const element = document.createElement(tag);
      const end = () => {
        let text: string | undefined;
        try {
          text = (element as HTMLIFrameElement).contentDocument?.body.innerText;
        } catch {
          // A document of another origin.
        }
        done(text ? [`${tag} ${url}: ${text}`] : []);
      };
      element.addEventListener('load', end, { once: true });
      element.addEventListener('error', end, { once: true });
      element.setAttribute(tag === 'object' ? 'data' : 'src', url);
      if (tag !== 'iframe') element.setAttribute('type', 'text/html');
      document.body.append(element);
      // Firefox never says what has become of it.
      if (tag === 'embed') done([]);
    });
  const tags = ['iframe', 'object', 'embed'] as const;
  const all = urls.flatMap((url) => tags.map((tag) => show(tag, url)));
  return (await Promise.all(all)).flat();
}

/** Opens a window with the server's page, to be looked at by `lookIntoWindow`. */
export function openWindowOnPress(url: string): void {
  const button = document.body.appendChild(document.createElement('button'));
  button.textContent = 'Open';
  button.onclick = () => Object.assign(window, { opened: window.open(url) });
}

/** What can be read of the window, and what it takes from this page. */
export function lookIntoWindow(messages: readonly unknown[]): string[] {
  const { opened } = window as unknown as { opened: Window | null };
  if (!opened) return [];
  const read: string[] = [];
  const attempt = (name: string, look: () => unknown) => {
    try {
      const found = look();
      // Firefox leaves the empty document of the beginning in the place of the one that is cut off.
      if (found !== undefined && found !== '') read.push(`${name}: ${String(found)}`);
    } catch {
      // Refused, as it should be.
    }
  };
  attempt('document', () => opened.document.body.innerText);
  attempt('address', () => opened.location.href);
  attempt('storage', () => opened.localStorage.length);
  for (const message of messages) attempt('answer', () => opened.postMessage(message, '*'));
  return read;
}
