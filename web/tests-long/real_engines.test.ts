/**
 * The page in front of real engines, as `tools/engines/setup.sh` installs them: they answer, and
 * Stop closes the connection to them at once. Prints how long that takes, from the press in the
 * browser to the close that the engine sees.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchBrowser, visit } from '../tests-browser/setup/browser';
import { buildBanter } from '../tests-browser/setup/build';
import { ChatPage } from '../tests-browser/setup/chat_page';
import { startBinary } from '../tests-browser/setup/server';

const ROOT = join(import.meta.dirname, '../..');
const ENGINES = resolve(ROOT, process.env.BANTER_ENGINES ?? '.engines');
const STOPS = 10;
/** An engine without kernels for this machine may take so long for ten words. */
const SLOW_MS = 120_000;

let banter: string;
let browser: Browser;

beforeAll(async () => {
  banter = buildBanter();
  browser = await launchBrowser();
}, 600_000);
afterAll(() => browser?.close());

/** How an engine is started with a model, and what banter must be told to find it. */
interface Recipe {
  readonly name: string;
  command(model: string, port: number): string[];
  options(model: string): string[];
}

const RECIPES: Recipe[] = [
  {
    name: 'llama-cpp-python',
    command: (model, port) => [
      ...['python', '-m', 'llama_cpp.server', '--port', `${port}`],
      ...['--model', join(ENGINES, `${model}.gguf`), '--n_ctx', '2048'],
    ],
    options: () => [],
  },
  {
    name: 'transformers',
    command: (_, port) => ['transformers', 'serve', '--port', `${port}`],
    options: (model) => ['--engine-model', join(ENGINES, model)],
  },
];

interface Engine {
  readonly port: number;
  stop(): Promise<void>;
}

/** Starts an engine and waits until it listens. */
async function startEngine(recipe: Recipe, model: string): Promise<Engine> {
  const port = await freePort();
  const [program, ...rest] = recipe.command(model, port);
  const child = spawn(join(ENGINES, 'venv/bin', program!), rest, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, HF_HUB_OFFLINE: '1' },
  });
  let log = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (log += data));
  child.on('error', (error) => (log += error.message));
  while (!(await listens(port))) {
    if (hasEnded(child)) throw new Error(`${recipe.name} ended before it listened:\n${log}`);
    await pause(100);
  }
  const stop = async () => {
    if (hasEnded(child)) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  };
  return { port, stop };
}

function hasEnded(child: ChildProcess): boolean {
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  const [event] = await Promise.race([
    once(socket, 'connect').then(() => ['connect']),
    once(socket, 'error').then(() => ['error']),
  ]).catch(() => ['error']);
  socket.destroy();
  return event === 'connect';
}

/** Milliseconds since 1970, finer than `Date.now()`; browser and test share the machine's clock. */
function now(): number {
  return performance.timeOrigin + performance.now();
}

/**
 * Stands between banter and the engine and takes down when banter closes the connection of an
 * answer.
 */
async function startWitness(target: number) {
  const closes: number[] = [];
  const server = createServer((client) => {
    const engine = connect(target, '127.0.0.1');
    let carriesAnswer = false;
    const closed = () => {
      if (carriesAnswer) closes.push(now());
      carriesAnswer = false;
    };
    client.on('data', (data) => {
      carriesAnswer ||= data.includes('POST /v1/chat/completions');
      engine.write(data);
    });
    client.once('end', closed).once('close', closed);
    client.on('error', () => engine.destroy()).on('close', () => engine.destroy());
    engine.on('data', (data) => client.write(data));
    engine.on('error', () => client.destroy()).on('close', () => client.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, closes, end: () => server.close() };
}

/** Presses Stop and returns when the browser felt it. */
async function pressStop(page: Page): Promise<number> {
  await page.evaluate(() => {
    const felt = () => Object.assign(window, { felt: performance.timeOrigin + performance.now() });
    window.addEventListener('pointerdown', felt, { capture: true, once: true });
  });
  await page.getByRole('button', { name: 'Stop', exact: true }).click();
  return page.evaluate(() => (window as unknown as { felt: number }).felt);
}

/** An engine with a model, banter in front of it, and a page in front of both. */
async function stack(recipe: Recipe, model: string) {
  const engine = await startEngine(recipe, model);
  const witness = await startWitness(engine.port);
  const options = ['--engine', witness.url, ...recipe.options(model)];
  const server = await startBinary(banter, options);
  const { page, trouble, close } = await visit(browser, server.url);
  const chat = new ChatPage(page);
  await chat.connected();
  const end = async () => {
    await close();
    await server.stop();
    witness.end();
    await engine.stop();
  };
  return { witness, page, trouble, chat, end };
}

for (const recipe of RECIPES) {
  describe(recipe.name, () => {
    it('answers through the page', async () => {
      const { chat, trouble, end } = await stack(recipe, 'demo');
      expect(await chat.ask('Hello')).toMatch(/\p{L}{2,}/u);
      await chat.newConversation();
      expect(await chat.ask('你好')).toMatch(/\p{Script=Han}/u);
      await chat.page
        .getByText(/first word .* s/)
        .first()
        .waitFor();
      expect(trouble.errors).toEqual([]);
      await end();
    });

    it('is stopped by Stop', async () => {
      const { witness, page, chat, end } = await stack(recipe, 'random');
      const delays: number[] = [];
      for (let round = 0; round < STOPS; round += 1) {
        const before = witness.closes.length;
        await chat.say(`Round ${round}`);
        await page.getByText(/^[1-9]\d+ words$/).waitFor({ timeout: SLOW_MS });
        const felt = await pressStop(page);
        await expect.poll(() => witness.closes.length, { timeout: 10_000 }).toBe(before + 1);
        delays.push(witness.closes[before]! - felt);
        await chat.answered();
      }
      delays.sort((a, b) => a - b);
      const [median, most] = [delays[STOPS / 2]!, delays.at(-1)!];
      console.log(
        `${recipe.name}: stop to closed connection, ${STOPS} times: ` +
          `median ${median.toFixed(1)} ms, most ${most.toFixed(1)} ms`,
      );
      expect(median).toBeGreaterThan(0);
      await end();
    });
  });
}
