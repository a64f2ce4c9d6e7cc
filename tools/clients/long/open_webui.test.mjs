// Open WebUI in a real browser, in front of a server with the demo model, a slow one so that answers can be stopped. It gets its own empty folder and leaves the machine alone.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { chromium } from 'playwright-core';

const url = process.env.BANTER_URL;
const python = process.env.OPEN_WEBUI_PYTHON;
const START_SECONDS = 180;
const PASSWORD = 'Passw0rd-of-a-test';

let folder,
  program,
  ended,
  log = '',
  address,
  browser,
  page;
const outbound = [];

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'banter-open-webui-'));
  const port = await freePort();
  address = `http://127.0.0.1:${port}`;
  const command = [
    '-c',
    'from open_webui import app; app()',
    'serve',
    '--host',
    '127.0.0.1',
    '--port',
    `${port}`,
  ];
  program = spawn(python, command, { cwd: folder, env: { ...process.env, ...settings() } });
  for (const stream of [program.stdout, program.stderr]) stream.on('data', (text) => (log += text));
  ended = new Promise((resolve) => program.once('exit', resolve));
  await ready();
  // Containers run tests as root, where Chromium's own sandbox cannot start.
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  browser = await chromium.launch({
    executablePath: process.env.BANTER_CHROMIUM ?? '/usr/bin/chromium',
    args,
  });
  page = await browser.newPage({ locale: 'en-GB', viewport: { width: 1280, height: 800 } });
  page.on('request', (request) => {
    const { protocol, origin } = new URL(request.url());
    if (protocol.startsWith('http') && origin !== address) outbound.push(request.url());
  });
});

after(async () => {
  await browser?.close();
  program?.kill();
  await ended;
  if (folder) await rm(folder, { recursive: true, force: true });
});

/** Nothing is downloaded and nobody is told, and every question is one request. */
function settings() {
  return {
    DATA_DIR: folder,
    WEBUI_SECRET_KEY: 'only for this test',
    OPENAI_API_BASE_URL: `${url}/v1`,
    OPENAI_API_KEY: 'none',
    ENABLE_OLLAMA_API: 'false',
    OFFLINE_MODE: 'true',
    HF_HUB_OFFLINE: '1',
    RAG_EMBEDDING_ENGINE: 'openai',
    BYPASS_EMBEDDING_AND_RETRIEVAL: 'true',
    ENABLE_VERSION_UPDATE_CHECK: 'false',
    ENABLE_FOLLOW_UP_GENERATION: 'false',
    ENABLE_TAGS_GENERATION: 'false',
    ENABLE_TITLE_GENERATION: 'false',
    ANONYMIZED_TELEMETRY: 'false',
    DO_NOT_TRACK: 'true',
    SCARF_NO_ANALYTICS: 'true',
    DEFAULT_MODEL_PARAMS: JSON.stringify({ temperature: 0 }),
    // Its own tools have about 12,000 of the demo model's tokens, and its context has 2,048.
    DEFAULT_MODEL_METADATA: JSON.stringify({ capabilities: { builtin_tools: false } }),
  };
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** Waits until Open WebUI answers. */
async function ready() {
  const limit = Date.now() + START_SECONDS * 1000;
  for (;;) {
    const healthy = await fetch(`${address}/health`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (healthy) return;
    assert.ok(program.exitCode === null && Date.now() < limit, `Open WebUI did not start:\n${log}`);
    await pause(200);
  }
}

async function asked(path, body) {
  const options = {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  };
  return (await fetch(url + path, options)).json();
}

/** A number that the server tells of itself. */
async function figure(start) {
  const lines = (await (await fetch(`${url}/metrics`)).text()).split('\n');
  return Number(
    lines
      .find((line) => line.startsWith(start))
      .split(' ')
      .at(-1),
  );
}

async function ask(question) {
  await page.locator('#chat-input').fill(question);
  await page.keyboard.press('Enter');
}

const answers = () => page.locator('#response-content-container');
const stop = () => page.getByRole('button', { name: 'Stop', exact: true });

test('the first account is made', async () => {
  await page.goto(address);
  await page.getByRole('button', { name: 'Get started' }).click();
  await page.locator('#name').fill('Ada');
  await page.locator('#email').fill('ada@example.com');
  await page.locator('#password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Create Admin Account' }).click();
  await page.getByRole('button', { name: "Okay, Let's Go!" }).click();
});

test('the model is listed and chosen', async () => {
  const { data } = await (await fetch(`${url}/v1/models`)).json();
  await page.getByRole('button', { name: `Selected model: ${data[0].id}` }).click();
  assert.deepEqual(
    await page
      .getByRole('option')
      .allInnerTexts()
      .then((texts) => texts.map((text) => text.trim().split('\n')[0])),
    [data[0].id],
  );
  await page.keyboard.press('Escape');
});

test('a question is answered', async () => {
  const messages = [{ role: 'user', content: 'count to ten' }];
  const { choices } = await asked('/v1/chat/completions', { messages, temperature: 0 });
  await ask('count to ten');
  await answers().getByText(choices[0].message.content, { exact: true }).waitFor();
});

test('a conversation goes on, and is there after a reload', async () => {
  await ask('hello');
  await answers().nth(1).getByText(/\w/).first().waitFor();
  await stop().waitFor({ state: 'detached' });
  const texts = await answers().allInnerTexts();
  await page.reload();
  await answers().nth(1).waitFor();
  assert.deepEqual(await answers().allInnerTexts(), texts);
});

test('a long answer is stopped', async () => {
  await makeEndless();
  const before = await figure('banter_gap_seconds_count');
  await ask('tell me a long story');
  await answers().getByText(/\w/).first().waitFor();
  await stop().click();
  await stop().waitFor({ state: 'detached' });
  const limit = Date.now() + 5000;
  while (await figure('banter_sequences{state="running"}'))
    assert.ok(Date.now() < limit, 'the server still computes');
  // It would go on until the context is full, with about 2,000 pieces.
  const computed = (await figure('banter_gap_seconds_count')) - before;
  assert.ok(computed < 1000, `the server went on for ${computed} pieces`);
});

/** Answers go on until the context is full: the token that ends an answer is forbidden. In a prompt it also ends the question. */
async function makeEndless() {
  const { ids } = await asked('/apply-template', { messages: [{ role: 'user', content: 'hi' }] });
  const params = { temperature: 2, logit_bias: `${ids[ids.lastIndexOf(ids[0]) - 2]}:-100` };
  await page.evaluate(async (params) => {
    const headers = {
      'Content-Type': 'application/json',
      Authorization: `Bearer ${localStorage.token}`,
    };
    const body = JSON.stringify({ ui: { params } });
    await fetch('/api/v1/users/user/settings/update', { method: 'POST', headers, body });
  }, params);
  await page.goto(address);
}

test('the page asked nobody else', () => assert.deepEqual(outbound, []));
