import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchBrowser, NO_TROUBLE, visit } from './setup/browser';
import { type Server, startServer } from './setup/server';

const EXAMPLES = join(import.meta.dirname, '../../examples');
const PYTHON = process.env.BANTER_PYTHON ?? 'python3';

let server: Server;
let browser: Browser;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'banter-examples-'));
  [server, browser] = await Promise.all([startServer(['--allow-file-pages']), launchBrowser()]);
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
  rmSync(folder, { recursive: true });
});

function socketOf({ port }: Server): string {
  return `ws://localhost:${port}/ws`;
}

/** Writes a page to disk and opens it as a double click does. */
async function openFromDisk(name: string, text: string) {
  const path = join(folder, name);
  writeFileSync(path, text);
  return visit(browser, pathToFileURL(path).href);
}

class Example {
  constructor(readonly page: Page) {}

  async connected() {
    await this.status('Connected');
  }

  async status(text: string) {
    await this.page.getByRole('status').filter({ hasText: text }).waitFor();
  }

  async say(text: string) {
    await this.page.getByRole('textbox', { name: 'Your message' }).fill(text);
    await this.page.locator('textarea').press('Enter');
  }

  async shows(text: string) {
    await this.page.locator('.answer').last().filter({ hasText: text }).waitFor();
  }

  async finished() {
    await this.page.getByRole('button', { name: 'Send' }).waitFor();
  }

  async lastAnswer() {
    return this.page.locator('.answer').last().innerText();
  }
}

describe('examples/chat.html', () => {
  const source = readFileSync(join(EXAMPLES, 'chat.html'), 'utf8');
  const pointedAt = (address: string) => source.replace("ADDRESS = ''", `ADDRESS = '${address}'`);

  it('is short and loads nothing', () => {
    expect(source.trimEnd().split('\n').length).toBeLessThanOrEqual(200);
    // The empty icon keeps browsers from asking for /favicon.ico.
    expect(source.replace('href="data:,"', '')).not.toMatch(/\bsrc=|\bhref=|@import|url\(/);
    expect(source.indexOf('const ADDRESS')).toBeLessThan(source.indexOf('const KEY'));
  });

  it('opened from disk it streams, stops, keeps answers and sends them along', async () => {
    const { page, close } = await openFromDisk('chat.html', pointedAt(socketOf(server)));
    const chat = new Example(page);
    await chat.connected();
    await chat.say('tokens 100000 10');
    await chat.shows('word5');
    await page.keyboard.press('Escape');
    await chat.finished();
    const stopped = await chat.lastAnswer();
    await chat.say('history');
    await chat.shows('"content":"history"');
    await chat.finished();
    const history = JSON.parse(await chat.lastAnswer()) as { role: string; content: string }[];
    expect(history.map(({ role }) => role)).toEqual(['user', 'assistant', 'user']);
    expect(history[1]!.content.trim()).toBe(stopped.trim());
    expect(await page.locator('.answer').count()).toBe(2);
    await close();
  });

  it('sends the last six turns, and nothing after Clear', async () => {
    const { page, close } = await openFromDisk('chat.html', pointedAt(socketOf(server)));
    const chat = new Example(page);
    await chat.connected();
    for (let turn = 0; turn < 8; turn += 1) {
      await chat.say(`turn ${turn}`);
      await chat.shows(`You said: turn ${turn}`);
      await chat.finished();
    }
    await chat.say('history');
    await chat.shows('"content":"history"');
    await chat.finished();
    const entries = JSON.parse(await chat.lastAnswer()) as { content: string }[];
    expect(entries).toHaveLength(13);
    expect(entries[0]!.content).toBe('turn 2');
    await page.getByRole('button', { name: 'Clear' }).click();
    await chat.say('history');
    await chat.shows('"content":"history"');
    expect(JSON.parse(await chat.lastAnswer())).toHaveLength(1);
    await close();
  });

  it('says in plain words what went wrong', async () => {
    const { page, close } = await openFromDisk('chat.html', pointedAt(socketOf(server)));
    const chat = new Example(page);
    await chat.connected();
    await chat.say('busy');
    await page.locator('.trouble').filter({ hasText: 'The server is busy.' }).waitFor();
    await chat.finished();
    await close();
  });

  it('says how an address is written when it is none', async () => {
    const { page, close } = await openFromDisk('no_scheme.html', pointedAt('localhost:7860/ws'));
    await new Example(page).status('Write ADDRESS like ws://');
    await close();
  });

  it('comes back after the server did, with one timer', async () => {
    const first = await startServer(['--allow-file-pages']);
    const { page, close } = await openFromDisk('chat.html', pointedAt(socketOf(first)));
    const chat = new Example(page);
    await chat.connected();
    await chat.say('tokens 100000 10');
    await chat.shows('word9');
    await first.stop();
    await chat.status('your words are safe');
    expect(await chat.lastAnswer()).toContain('word9');
    const second = await startServer(['--allow-file-pages'], first.port);
    await chat.connected();
    await chat.say('hello');
    await chat.shows('You said: hello');
    await close();
    await second.stop();
  });

  it('is served at /chat.html, where the policy allows its own script and nothing else', async () => {
    const { page, trouble, close } = await visit(browser, `${server.url}/chat.html`);
    const chat = new Example(page);
    await chat.connected();
    await chat.say('<img src=x onerror=alert(1)>');
    await chat.shows('You said: <img src=x onerror=alert(1)>');
    expect(trouble).toEqual(NO_TROUBLE);
    await close();
  });

  it('is told by its server why it may not connect, and keeps trying', async () => {
    const strict = await startServer();
    const { page, close } = await openFromDisk('strict.html', pointedAt(socketOf(strict)));
    await new Example(page).status('does not answer, or wants a key');
    await close();
    await strict.stop();
  });
});

describe('examples/chat.py', () => {
  function start(address = socketOf(server)): {
    child: ChildProcess;
    output: () => string;
    until: (text: string) => Promise<void>;
  } {
    const probe = spawnSync(PYTHON, ['-c', 'import websockets']);
    if (probe.status !== 0)
      throw new Error(`${PYTHON} lacks the package websockets (Debian: python3-websockets)`);
    const child = spawn(PYTHON, [join(EXAMPLES, 'chat.py'), address]);
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (data) => (output += String(data)));
    const until = async (text: string) => {
      while (!output.includes(text)) await once(child.stdout, 'data');
    };
    return { child, output: () => output, until };
  }

  it('is short', () => {
    const lines = readFileSync(join(EXAMPLES, 'chat.py'), 'utf8').trimEnd().split('\n');
    expect(lines.length).toBeLessThanOrEqual(60);
  });

  it('streams, stops an answer at Ctrl-C and sends its history', async () => {
    const { child, output, until } = start();
    await until('> ');
    child.stdin!.write('tokens 100000 10\n');
    await until('word5 ');
    child.kill('SIGINT');
    child.stdin!.write('history\n');
    await until('"content":"history"}]');
    child.stdin!.end();
    const [code] = (await once(child, 'exit')) as [number];
    expect(code).toBe(0);
    expect(output()).toContain('{"role":"assistant","content":"word0 word1');
    expect(output()).not.toContain('word99999');
  });

  it('shows an answer that begins like an error, and does not remember a refusal', async () => {
    const { child, output, until } = start();
    await until('> ');
    child.stdin!.write('echo {"error":1,"a":2}\n');
    await until('{"error":1,"a":2}\n');
    child.stdin!.write('busy\n');
    await until('[busy]');
    child.stdin!.write('history\n');
    await until('"content":"history"}]');
    expect(output()).not.toContain('"content":"busy"');
    child.stdin!.end();
    const [code] = (await once(child, 'exit')) as [number];
    expect(code).toBe(0);
  });

  it('says in a line that nobody listens, or that the server has ended', async () => {
    const ending = await startServer();
    const [lonely, left] = [start('ws://127.0.0.1:9/ws'), start(socketOf(ending))];
    const ends = [once(lonely.child, 'close'), once(left.child, 'close')];
    await left.until('> ');
    await ending.stop();
    left.child.stdin!.write('hello\n');
    for (const [code] of (await Promise.all(ends)) as [number][]) expect(code).toBe(1);
    for (const { output } of [lonely, left]) {
      expect(output()).toContain('`banter serve` starts a server');
      expect(output()).not.toContain('Traceback');
    }
  });

  it('leaves at Ctrl-C when nothing is being answered', async () => {
    const { child, until } = start();
    await until('> ');
    child.kill('SIGINT');
    const [code] = (await once(child, 'exit')) as [number];
    expect(code).toBe(0);
  });
});

describe('a plain client with the habits of a tutorial, opened from disk', () => {
  const source = readFileSync(join(import.meta.dirname, 'fixtures/plain_client.html'), 'utf8');

  it('shows frames as they come, and Stop halts', async () => {
    const page = source.replace('SOCKET_ADDRESS', socketOf(server));
    const { page: tab, trouble, close } = await openFromDisk('plain_client.html', page);
    const frames = tab.locator('#frames');
    const count = async () => (await frames.innerText()).split('\n').filter(Boolean).length;
    await tab.locator('#state').filter({ hasText: 'open' }).waitFor();
    await tab.locator('#text').fill('tokens 100000 20');
    await tab.locator('#send').click();
    await frames.filter({ hasText: '"word3 "' }).waitFor();
    expect(await tab.locator('#answer').innerText()).toMatch(/^word0 word1 word2 word3/);
    // A frame that was not there yet: on a slow machine any fixed one may already be.
    const early = await count();
    await frames.filter({ hasText: `"word${early + 8} "` }).waitFor();
    expect(await count()).toBeGreaterThan(early);

    await tab.locator('#stop').click();
    await frames.filter({ hasText: /""\n?$/ }).waitFor();
    const atStop = await count();
    // The next answer comes after the halt: whatever the stopped one still had to say would be
    // before.
    await tab.locator('#text').fill('history');
    await tab.locator('#send').click();
    await frames.filter({ hasText: 'content' }).waitFor();
    const lines = (await frames.innerText()).split('\n').filter(Boolean);
    expect(lines[atStop - 1]).toBe('""');
    // The current message stood in the history, too, and counts once.
    const told = JSON.parse(JSON.parse(lines[atStop]!) as string) as { content: string }[];
    expect(told.map(({ content }) => content)).toEqual(['tokens 100000 20', 'history']);
    expect(trouble.errors).toEqual([]);
    await close();
  });

  it('finds its server again with its own timers', async () => {
    const first = await startServer(['--allow-file-pages']);
    const page = source.replace('SOCKET_ADDRESS', socketOf(first));
    const { page: tab, close } = await openFromDisk('plain_client.html', page);
    const state = tab.locator('#state');
    await state.filter({ hasText: 'open' }).waitFor();
    await first.stop();
    await state.filter({ hasText: 'closed' }).waitFor();
    const second = await startServer(['--allow-file-pages'], first.port);
    await state.filter({ hasText: 'open' }).waitFor();
    await tab.locator('#text').fill('hello');
    await tab.locator('#send').click();
    await tab.locator('#frames').filter({ hasText: 'You said' }).waitFor();
    await close();
    await second.stop();
  });
});
