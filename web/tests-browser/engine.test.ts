import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { launchBrowser, NO_TROUBLE, visit } from './setup/browser';
import { ChatPage } from './setup/chat_page';
import { startFakeEngine } from './setup/engine';
import { typeNumber } from './setup/fields';
import { startBinary } from './setup/server';

let browser: Browser;

beforeAll(async () => {
  browser = await launchBrowser();
});
afterAll(() => browser?.close());

/** The program in front of an engine, with a page open. */
async function inFrontOf(kind: string) {
  const engine = await startFakeEngine(kind);
  const server = await startBinary(inject('banter'), ['--engine', engine.url]);
  const { page, trouble, close } = await visit(browser, server.url);
  const chat = new ChatPage(page);
  await chat.connected();
  const end = async () => {
    await close();
    await server.stop();
    await engine.stop();
  };
  return { engine, server, page, trouble, chat, end };
}

describe('in front of an engine that someone else runs', () => {
  it('the page talks as ever, and Stop closes the connection to the engine', async () => {
    const { engine, chat, trouble, end } = await inFrontOf('vllm');
    await chat.page.locator('header').getByText('Fake-1B').waitFor();
    expect(await chat.ask('hello from the page')).toBe('hello from the page');
    await chat.say('slow 100000');
    await chat.shows('word30');
    await chat.stop.click();
    await engine.hungUp(1);
    await chat.page.getByText(/^Stopped/).waitFor();
    expect(await chat.ask('and goes on')).toBe('and goes on');
    expect(trouble).toEqual(NO_TROUBLE);
    await end();
  });

  it('the conversations of a test stay in a folder of the test', async () => {
    const { server, chat, end } = await inFrontOf('vllm');
    await chat.ask('hello');
    expect(await readdir(join(server.home, 'data/banter/data'))).toContain('banter.db');
    await end();
    await expect(readdir(server.home)).rejects.toThrow('ENOENT');
  });

  it('a setting that the engine does not know cannot be chosen, and says why', async () => {
    const { page, chat, end } = await inFrontOf('openai');
    await page.getByRole('button', { name: 'Settings' }).click();
    const penalty = page.getByRole('spinbutton', { name: 'Repetition penalty' });
    expect(await penalty.isDisabled()).toBe(true);
    await page.getByText('does not know this setting').first().waitFor();
    const temperature = page.getByRole('spinbutton', { name: 'Temperature' });
    expect(await temperature.inputValue()).toBe('');
    await typeNumber(temperature, '0.5');
    expect(await page.getByRole('slider', { name: 'Temperature' }).inputValue()).toBe('0.5');
    await typeNumber(temperature, '');
    await page.getByRole('button', { name: 'Close' }).click();
    expect(await chat.ask('still answers')).toBe('still answers');
    await end();
  });

  it('the line where the model begins to read is there if the engine counts no tokens', async () => {
    const { page, chat, end } = await inFrontOf('openai');
    await chat.ask(`one ${'x'.repeat(2_500)}`);
    await chat.ask('two');
    await page.getByText('The first 2 messages no longer fit; the model reads from here').waitFor();
    await end();
  });

  it('an engine that is gone is named as what is missing, and comes back by itself', async () => {
    const { engine, server, page, chat, end } = await inFrontOf('llama-server');
    await chat.ask('before');
    await engine.stop();
    await chat.say('while it is away');
    await page.getByText('Your message is kept').waitFor();
    const ready = async () => (await fetch(`${server.url}/ready`)).status;
    await expect.poll(ready, { timeout: 10_000 }).toBe(503);
    await page.reload();
    await chat.status.filter({ hasText: 'The engine behind this server' }).waitFor();
    expect(await chat.status.getAttribute('title')).toContain('no connection');
    const back = await startFakeEngine('llama-server', engine.port);
    await chat.connected();
    expect(await chat.ask('and after')).toBe('and after');
    await end();
    await back.stop();
  });
});
