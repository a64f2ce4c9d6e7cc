// Measures an answer of 4 MB in Chromium, nearly the longest that a server keeps. It comes from a server
// with an engine that sends 400 kB a second. `make feel`, or
//
//   node tools/large.mjs ../target/release/banter [FILE.csv]
//
// It tells how long the page was busy in one go (tasks of 50 ms and more, which Chromium counts), and how
// far frames were apart in the first and in the last tenth of the time.

import { spawn } from 'node:child_process';
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const [program = '../target/release/banter', file] = process.argv.slice(2);
const BYTES = Number(process.env.BANTER_LARGE_BYTES ?? 4_000_000);
/** As much as a quick engine sends in some milliseconds. */
const PIECE = 2_000;
const PAUSE_MS = 5;

const SECTION = `
## A section with **bold** words and \`code\`

Words of a paragraph in an answer that is long, 以及一些**中文**，还有 $a^2 + b^2 = c^2$。It goes on for a while,
as answers do, with [a link](https://example.org/) and *stress* on some words.

- the first of several points
- the second, which is a little longer than the first

| name | number |
| --- | ---: |
| one | 1 |
| two | 2 |

\`\`\`python
def section(number):
    return [line for line in range(number) if line % 2]
\`\`\`
`;

const text = SECTION.repeat(Math.ceil(BYTES / Buffer.byteLength(SECTION)));
const engine = await startEngine();
const folder = mkdtempSync(join(tmpdir(), 'banter-large-'));
const options = ['serve', '--port', '0', '--data', join(folder, 'data'), '--engine', engine.url];
const server = spawn(program, options, { stdio: ['ignore', 'pipe', 'ignore'] });
const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
const executablePath = process.env.BANTER_CHROMIUM ?? '/usr/bin/chromium';
const browser = await chromium.launch({ executablePath, args });
try {
  report(await measure(await readyAddress()));
} finally {
  await browser.close();
  server.kill();
  await once(server, 'exit');
  engine.close();
  rmSync(folder, { recursive: true, force: true });
}

async function measure(address) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  await page.addInitScript(() => {
    window.tasks = [];
    window.frames = [];
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) window.tasks.push(duration);
    }).observe({ entryTypes: ['longtask'] });
    let before = performance.now();
    const frame = (now) => {
      window.frames.push(now - before);
      before = now;
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  });
  await page.goto(address);
  await page.getByRole('status').filter({ hasText: 'Connected' }).waitFor();
  await page.locator('#message').fill('Write as much as you can');
  await page.evaluate(() => (window.tasks.length = window.frames.length = 0));
  const begin = performance.now();
  await page.keyboard.press('Enter');
  const answer = page.locator('article.assistant .answer');
  await answer.waitFor();
  // Seldom and cheaply: looking at a large page costs the page its time.
  await page.waitForFunction(
    () =>
      document.querySelector('[role="log"]').ariaBusy === 'false' &&
      document.querySelector('article.assistant .markdown').ariaBusy === 'false',
    null,
    { polling: 250, timeout: 900_000 },
  );
  const seconds = (performance.now() - begin) / 1_000;
  const [tasks, frames] = await page.evaluate(() => [window.tasks, window.frames]);
  const sections = await answer.locator('h2').count();
  if (sections !== text.length / SECTION.length) throw new Error(`${sections} sections are drawn`);
  return { seconds, tasks, frames };
}

/** Sends the text to whoever asks, piece by piece. */
function startEngine() {
  const listener = createServer((request, response) => {
    if (request.url?.endsWith('/models')) {
      response.setHeader('content-type', 'application/json');
      return response.end(
        JSON.stringify({ object: 'list', data: [{ id: 'large', object: 'model' }] }),
      );
    }
    if (!request.url?.endsWith('/chat/completions')) return response.writeHead(404).end();
    response.setHeader('content-type', 'text/event-stream');
    const say = (choice) =>
      response.write(
        `data: ${JSON.stringify({ object: 'chat.completion.chunk', choices: [choice] })}\n\n`,
      );
    let at = 0;
    const timer = setInterval(() => {
      if (at < text.length) {
        const content = text.slice(at, (at += PIECE));
        return void say({ index: 0, delta: { content }, finish_reason: null });
      }
      clearInterval(timer);
      say({ index: 0, delta: {}, finish_reason: 'stop' });
      response.end('data: [DONE]\n\n');
    }, PAUSE_MS);
    response.on('close', () => clearInterval(timer));
  });
  return new Promise((resolve) =>
    listener.listen(0, '127.0.0.1', () =>
      resolve({
        url: `http://127.0.0.1:${listener.address().port}`,
        close: () => listener.close(),
      }),
    ),
  );
}

async function readyAddress() {
  for await (const line of createInterface({ input: server.stdout })) {
    const address = /^ready (\S+)/.exec(line)?.[1];
    if (address) return address;
  }
  throw new Error('the server ended before it was ready');
}

function report({ seconds, tasks, frames }) {
  const tenth = Math.floor(frames.length / 10);
  row('an answer of 4 MB, until all of it is drawn', [seconds * 1_000]);
  row('an answer of 4 MB: tasks of 50 ms and more', tasks);
  row('an answer of 4 MB: frames of the first tenth', frames.slice(0, tenth));
  row('an answer of 4 MB: frames of the last tenth', frames.slice(-tenth));
}

function row(what, found) {
  const sorted = [...found].sort((a, b) => a - b);
  const at = (part) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
  const figures = [at(0.5), at(0.99)].map((ms) => ms?.toFixed(1) ?? '');
  const most = sorted.at(-1)?.toFixed(1) ?? '';
  console.log(
    `${what}: median ${figures[0]} ms, p99 ${figures[1]} ms, most ${most} ms (${found.length})`,
  );
  if (file) appendFileSync(file, `large,"${what}",${figures.join(',')},${found.length}\n`);
}
