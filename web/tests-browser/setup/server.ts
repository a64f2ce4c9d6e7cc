/** A real banter server in front of a scripted backend, one process per test that asks for it. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { inject } from 'vitest';

export interface Server {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** The folder for what it keeps of its own accord: conversations and models. */
  readonly home: string;
  /** All that it has logged so far. */
  log(): string;
  stop(): Promise<void>;
}

/** Starts the server on a free port, or on `port` to come back where another one was. */
export async function startServer(options: string[] = [], port = 0): Promise<Server> {
  return startBinary(inject('scriptedServer'), options, port);
}

/**
 * Starts a program of ours. It sees an empty home, so it neither reads settings of the person who
 * runs the tests nor writes into that person's conversations.
 */
export async function startBinary(
  path: string,
  options: string[],
  port = 0,
  environment: Record<string, string> = {},
): Promise<Server> {
  const home = await mkdtemp(join(tmpdir(), 'banter-home-'));
  const own = { XDG_CONFIG_HOME: join(home, 'config'), XDG_DATA_HOME: join(home, 'data') };
  const child = spawn(path, ['--port', String(port), ...options], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...own, ...environment },
  });
  let log = '';
  child.stderr.on('data', (data) => (log += String(data)));
  const url = await readyUrl(child).catch(async () => {
    await rm(home, { recursive: true, force: true });
    throw new Error(`the server ended before it was ready:\n${log}`);
  });
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    }
    await rm(home, { recursive: true, force: true });
  };
  return { url, port: Number(new URL(url).port), pid: child.pid!, home, log: () => log, stop };
}

async function readyUrl(child: ChildProcess): Promise<string> {
  for await (const line of createInterface({ input: child.stdout! })) {
    const match = /^ready (\S+)/.exec(line);
    if (match) return match[1]!;
  }
  throw new Error('no ready line');
}
