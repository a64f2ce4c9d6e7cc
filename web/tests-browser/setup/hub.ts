/** A hub that serves the demo model under all official names, in a process of its own. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { inject } from 'vitest';

const MODEL = join(import.meta.dirname, '../../../crates/banter/assets/banter-demo.gguf');

export interface FakeHub {
  readonly url: string;
  stop(): Promise<void>;
}

/** Starts a hub; with `bytesPerSecond` it sends no faster than that on each connection. */
export async function startFakeHub(bytesPerSecond?: number): Promise<FakeHub> {
  const speed = bytesPerSecond === undefined ? [] : [String(bytesPerSecond)];
  const child = spawn(inject('fakeHub'), [MODEL, ...speed], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [url] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  const stop = async () => {
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  };
  return { url, stop };
}
