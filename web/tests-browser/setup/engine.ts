/** An engine as `--engine` finds it, in a process of its own. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { inject } from 'vitest';

export interface FakeEngine {
  readonly url: string;
  readonly port: number;
  /** Resolves when clients have hung up in the middle of so many answers. */
  hungUp(count: number): Promise<void>;
  stop(): Promise<void>;
}

/** Starts an engine of a kind on a free port, or on `port` to come back where another one was. */
export async function startFakeEngine(kind: string, port = 0): Promise<FakeEngine> {
  const child = spawn(inject('fakeEngine'), [kind, String(port)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error('the engine ended');
    return value as string;
  };
  const url = await line();
  const hungUp = async (count: number) => {
    child.stdin.write(`hung up ${count}\n`);
    await line();
  };
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  };
  return { url, port: Number(new URL(url).port), hungUp, stop };
}
