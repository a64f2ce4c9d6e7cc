/**
 * One tab of a page with the tutorial's timers, in a real browser and real time, while its server
 * refuses it or is away. Takes two minutes.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import WebSocket from 'ws';
import { launchBrowser } from '../tests-browser/setup/browser';
import { buildBanter } from '../tests-browser/setup/build';
import { type Server, startBinary } from '../tests-browser/setup/server';

const STORM_MS = 45_000;
const SOCKETS_OF_A_BROWSER = 255;
const MAX_GROWTH_BYTES = 16 << 20;
const MAX_LOG_LINES = 20;

const source = readFileSync(
  join(import.meta.dirname, '../tests-browser/fixtures/plain_client.html'),
  'utf8',
);
let banter: string;
let browser: Browser;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'banter-tab-'));
  banter = buildBanter();
  browser = await launchBrowser();
}, 600_000);
afterAll(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true });
});

/** Bytes of memory that a process holds. */
function residentBytes({ pid }: Server): number {
  const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))!;
  return Number(kib) * 1024;
}

/** Lines that are not the record of an answer. */
function ownLines(server: Server): string[] {
  return server
    .log()
    .split('\n')
    .filter((line) => line && !line.includes('generation{'));
}

/** A well-behaved client beside the tab. */
class ControlClient {
  private constructor(private readonly socket: WebSocket) {}

  static async connect({ port }: Server): Promise<ControlClient> {
    const socket = new WebSocket(`ws://localhost:${port}/ws`);
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
    return new ControlClient(socket);
  }

  /** Asks, and waits for the whole answer; returns milliseconds to its first word. */
  async ask(): Promise<number> {
    const began = performance.now();
    let first = 0;
    await new Promise<void>((resolve, reject) => {
      const onFrame = (data: WebSocket.RawData) => {
        first ||= performance.now() - began;
        if (String(data) !== '') return;
        this.socket.off('message', onFrame).off('close', reject);
        resolve();
      };
      this.socket.on('message', onFrame).once('close', reject);
      this.socket.send(JSON.stringify({ message: 'hello', max_tokens: 8 }));
    });
    return first;
  }

  close() {
    this.socket.close();
  }
}

/** Opens the page from disk and counts the handshakes it sends and the sockets it has. */
async function openTab(port: number) {
  const path = join(folder, 'plain_client.html');
  writeFileSync(path, source.replace('SOCKET_ADDRESS', `ws://localhost:${port}/ws`));
  const context = await browser.newContext();
  const page = await context.newPage();
  const protocol = await context.newCDPSession(page);
  const seen = { handshakes: 0, opened: 0 };
  protocol.on('Network.webSocketCreated', () => (seen.handshakes += 1));
  protocol.on('Network.webSocketHandshakeResponseReceived', ({ response }) => {
    if (response.status === 101) seen.opened += 1;
  });
  await protocol.send('Network.enable');
  await page.goto(pathToFileURL(path).href);
  return { seen, close: () => context.close() };
}

/** Asks once a second until the storm is over. */
async function askThrough(server: Server): Promise<number[]> {
  const control = await ControlClient.connect(server);
  const waits: number[] = [];
  for (const end = performance.now() + STORM_MS; performance.now() < end; await pause(1000))
    waits.push(await control.ask());
  control.close();
  return waits;
}

describe('a tab of the tutorial page', () => {
  it('that is refused for 45 seconds is hardly noticed', async () => {
    const server = await startBinary(banter, []);
    (await ControlClient.connect(server)).ask();
    const before = residentBytes(server);
    const tab = await openTab(server.port);
    const waits = await askThrough(server);
    const growth = residentBytes(server) - before;
    console.log(
      `refused: ${JSON.stringify(tab.seen)}, ${growth} bytes more, first word after at most ${Math.max(...waits)} ms`,
    );
    expect(tab.seen.handshakes).toBeGreaterThan(200);
    expect(tab.seen.opened).toBe(0);
    expect(waits.length).toBeGreaterThan(30);
    expect(growth).toBeLessThanOrEqual(MAX_GROWTH_BYTES);
    expect(ownLines(server).length).toBeLessThanOrEqual(MAX_LOG_LINES);
    expect(server.log()).toContain('--allow-file-pages');
    await tab.close();
    await server.stop();
  });

  it('whose server was away for 45 seconds comes back with all its sockets', async () => {
    const first = await startBinary(banter, ['--allow-file-pages']);
    const tab = await openTab(first.port);
    await expect.poll(() => tab.seen.opened).toBe(1);
    await first.stop();
    await pause(STORM_MS);

    const second = await startBinary(banter, ['--allow-file-pages'], first.port);
    const control = await ControlClient.connect(second);
    await control.ask();
    const before = residentBytes(second);
    const waits = await askThrough(second);
    const growth = residentBytes(second) - before;
    console.log(
      `away: ${JSON.stringify(tab.seen)}, ${growth} bytes more, first word after at most ${Math.max(...waits)} ms`,
    );
    expect(tab.seen.opened).toBeGreaterThan(10);
    expect(tab.seen.opened).toBeLessThanOrEqual(1 + SOCKETS_OF_A_BROWSER);
    expect(growth).toBeLessThanOrEqual(MAX_GROWTH_BYTES);
    expect(ownLines(second).length).toBeLessThanOrEqual(MAX_LOG_LINES);
    control.close();
    await tab.close();
    await second.stop();
  });
});
