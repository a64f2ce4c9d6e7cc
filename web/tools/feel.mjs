// Measures how the page feels, in Chromium, by the page's own marks: `make feel`, or
//
//   node tools/feel.mjs http://localhost:7860/ NAME [FILE.csv]
//
// NAME says what answers, for the table. The server should have nothing else to do. Every figure is
// the median and the 99th percentile of its tries.

import { appendFileSync } from 'node:fs';
import { chromium } from 'playwright-core';
import WebSocket from 'ws';

const [address = 'http://localhost:7860/', name = 'model', file] = process.argv.slice(2);
const TRIES = Number(process.env.BANTER_FEEL_TRIES ?? 30);
const OTHERS = 4;
/** Of one answer: a slow model would write for minutes. */
const MOST_GAPS = 100;
/** Longer than the page waits for a pause in the typing, and time for the prompt. */
const DRAFT_MS = Number(process.env.BANTER_FEEL_DRAFT_MS ?? 1_500);
const page = new URL('?marks', address).href;

const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
const executablePath = process.env.BANTER_CHROMIUM ?? '/usr/bin/chromium';
const browser = await chromium.launch({ executablePath, args });
const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });

const rows = [];
await firstWords('drafted', DRAFT_MS);
await firstWords('not drafted', 0);
await gaps();
await stops();
await reloads();
await tabs();
await browser.close();
report();

async function open(at = page) {
  const opened = await context.newPage();
  await opened.goto(at);
  await opened
    .getByRole('status')
    .filter({ hasText: /Connected|Writing/ })
    .waitFor();
  return opened;
}

async function say(tab, text) {
  await tab.locator('#message').fill(text);
  await tab.keyboard.press('Enter');
}

/** Milliseconds of all marks of a name, as the page's clock counts. */
function marks(tab, mark) {
  return tab.evaluate(
    (wanted) => performance.getEntriesByName(`banter:${wanted}`).map(({ startTime }) => startTime),
    mark,
  );
}

async function whole(tab) {
  await tab.locator('[role="log"][aria-busy="false"]').waitFor({ timeout: 600_000 });
}

async function fresh(tab) {
  await tab.locator('header').getByRole('button', { name: 'New conversation' }).click();
  await tab.evaluate(() => performance.clearMarks());
}

/** Enter to the first word on the screen. */
async function firstWords(how, pauseMs) {
  const tab = await open();
  const found = [];
  for (let index = 0; index < TRIES; index += 1) {
    await fresh(tab);
    const text = `${index} ${Math.random()}: tell me something short, please`;
    await tab.locator('#message').fill(text);
    await tab.waitForTimeout(pauseMs);
    await tab.keyboard.press('Enter');
    await tab.waitForFunction(() => performance.getEntriesByName('banter:drawn').length > 0, null, {
      timeout: 600_000,
    });
    found.push((await marks(tab, 'drawn'))[0] - (await marks(tab, 'asked'))[0]);
    await tab.keyboard.press('Escape');
    await whole(tab);
  }
  rows.push({ what: `Enter to first word, ${how}`, found });
  await tab.close();
}

/** Time between two changes of the text, beside other conversations. */
async function gaps() {
  const others = await Promise.all(Array.from({ length: OTHERS }, (_, at) => talker(at)));
  const tab = await open();
  const found = [];
  while (found.length < 10 * TRIES) {
    await fresh(tab);
    await say(tab, 'Tell me a long story, please');
    await tab.waitForFunction(
      (most) =>
        performance.getEntriesByName('banter:drawn').length > most ||
        document.querySelector('[role="log"]').ariaBusy === 'false',
      MOST_GAPS,
      { polling: 100, timeout: 600_000 },
    );
    const drawn = await marks(tab, 'drawn');
    await tab.keyboard.press('Escape');
    await whole(tab);
    const between = drawn.slice(1).map((at, index) => at - drawn[index]);
    if (between.length === 0) break;
    found.push(...between);
  }
  rows.push({ what: `between two changes of the text, beside ${OTHERS} others`, found });
  for (const socket of others) socket.close();
  await tab.close();
}

/** A client that asks on and on. */
async function talker(at) {
  const socket = new WebSocket(new URL('ws', address.replace(/^http/, 'ws')));
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  const ask = () =>
    socket.send(JSON.stringify({ message: `${at}: tell me a long story`, max_tokens: 400 }));
  socket.on('message', (data) => {
    if (String(data) === '' && socket.readyState === WebSocket.OPEN) ask();
  });
  ask();
  return socket;
}

/** Stop to the last change of the text. */
async function stops() {
  const tab = await open();
  const found = [];
  for (let index = 0; index < TRIES; index += 1) {
    await fresh(tab);
    await say(tab, 'Tell me a long story, please');
    await tab.waitForFunction(() => performance.getEntriesByName('banter:drawn').length > 0, null, {
      timeout: 600_000,
      polling: 5,
    });
    await tab.keyboard.press('Escape');
    await whole(tab);
    await tab.waitForTimeout(100);
    const [stopped] = await marks(tab, 'stopped');
    const last = (await marks(tab, 'drawn')).at(-1);
    // A quick model may have ended before the key was pressed; then there was nothing to stop.
    const wasStopped = await tab.getByText(/^Stopped/).count();
    if (wasStopped > 0 && last !== undefined) found.push(Math.max(0, last - stopped));
  }
  rows.push({ what: 'Stop to the last change of the text', found });
  await tab.close();
}

/** Reload to the words of the answer that is being written. */
async function reloads() {
  const tab = await open();
  const found = [];
  await tab.addInitScript(() => {
    const look = () => {
      const words = document.querySelector('article.assistant .answer')?.textContent ?? '';
      if (words !== '') performance.mark('seen');
      else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  });
  for (let index = 0; index < TRIES; index += 1) {
    await fresh(tab);
    await say(tab, 'Tell me a long story, please');
    await tab
      .locator('article.assistant .answer')
      .filter({ hasText: /\w+ \w+/ })
      .waitFor();
    await tab.reload();
    await tab.waitForFunction(() => performance.getEntriesByName('seen').length > 0);
    found.push(await tab.evaluate(() => performance.getEntriesByName('seen')[0].startTime));
    await tab.keyboard.press('Escape');
    await whole(tab);
  }
  rows.push({ what: 'reload to the running answer', found });
  await tab.close();
}

/** A message sent in one tab to the same message in another. */
async function tabs() {
  const one = await open();
  await say(one, 'Hello');
  await one.locator('article.assistant .answer').filter({ hasText: /\w/ }).waitFor();
  await one.keyboard.press('Escape');
  await whole(one);
  const two = await open(one.url());
  await two.evaluate(() => {
    window.seen = [];
    new MutationObserver(() => {
      const count = document.querySelectorAll('article.user').length;
      if (count > window.seen.length) window.seen.push(performance.timeOrigin + performance.now());
    }).observe(document.querySelector('main'), { childList: true, subtree: true });
  });
  const found = [];
  for (let index = 0; index < TRIES; index += 1) {
    await one.evaluate(() => performance.clearMarks());
    const before = await two.evaluate(() => window.seen.length);
    await one.bringToFront();
    await say(one, `Hello ${index}`);
    await two.waitForFunction((count) => window.seen.length > count, before, { polling: 20 });
    const [asked] = await marks(one, 'asked');
    const origin = await one.evaluate(() => performance.timeOrigin);
    found.push((await two.evaluate(() => window.seen.at(-1))) - origin - asked);
    await one.keyboard.press('Escape');
    await whole(one);
  }
  rows.push({ what: 'sent in one tab to seen in another', found });
  await one.close();
  await two.close();
}

function report() {
  for (const { what, found } of rows) {
    const sorted = [...found].sort((a, b) => a - b);
    const at = (part) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
    const figures = [at(0.5), at(0.99)].map((ms) => ms?.toFixed(1) ?? '');
    console.log(
      `${name}: ${what}: median ${figures[0]} ms, p99 ${figures[1]} ms (${found.length})`,
    );
    if (file) appendFileSync(file, `${name},"${what}",${figures.join(',')},${found.length}\n`);
  }
}
