/** Builds the server that the browser tests talk to, once for all of them. */

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    scriptedServer: string;
  }
}

const ROOT = join(import.meta.dirname, '../../..');

export default function setup(project: TestProject): void {
  project.provide('scriptedServer', buildServer());
}

/** Path of the server with the scripted backend; cargo names it, wherever its target folder is. */
export function buildServer(): string {
  const build = ['build', '-p', 'banter-server', '--example', 'scripted', '--message-format=json'];
  const stdio = ['ignore', 'pipe', 'inherit'] as const;
  const options = { cwd: ROOT, encoding: 'utf8', maxBuffer: 1 << 28, stdio: [...stdio] } as const;
  for (const line of execFileSync('cargo', build, { ...options, stdio: [...stdio] }).split('\n')) {
    const made = line.startsWith('{') ? (JSON.parse(line) as Artifact) : null;
    if (made?.target?.name === 'scripted' && made.executable) return made.executable;
  }
  throw new Error('cargo did not say where the scripted server is');
}

interface Artifact {
  target?: { name: string };
  executable?: string | null;
}
