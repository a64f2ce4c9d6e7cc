/** Builds the servers that the browser tests talk to, once for all of them. */

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { linesAbout } from './left_out';
import { RUN } from './run';

declare module 'vitest' {
  interface ProvidedContext {
    scriptedServer: string;
    banter: string;
    fakeEngine: string;
    fakeHub: string;
  }
}

const ROOT = join(import.meta.dirname, '../../..');

export default function setup(project: TestProject): void {
  for (const line of [`${RUN.browser}, ${RUN.view}`, ...linesAbout(RUN)]) console.log(line);
  project.provide('scriptedServer', buildScriptedServer());
  project.provide('banter', buildBanter());
  project.provide('fakeEngine', buildFake('fake-engine'));
  project.provide('fakeHub', buildFake('fake-hub'));
}

/** Path of the server with the scripted backend. */
export function buildScriptedServer(): string {
  return build('scripted', ['-p', 'banter-server', '--example', 'scripted']);
}

/** Path of the program itself. */
export function buildBanter(): string {
  return build('banter', ['-p', 'banter', '--bin', 'banter']);
}

/** Path of one of the programs that stand in for what is elsewhere: an engine, a hub. */
function buildFake(name: 'fake-engine' | 'fake-hub'): string {
  return build(name, ['-p', 'banter-remote', '--features', 'fakes', '--example', name]);
}

/** Builds one program; cargo names its path, wherever its target folder is. */
function build(name: string, selection: string[]): string {
  const build = ['build', ...selection, '--message-format=json'];
  const stdio = ['ignore', 'pipe', 'inherit'] as const;
  const options = { cwd: ROOT, encoding: 'utf8', maxBuffer: 1 << 28, stdio: [...stdio] } as const;
  for (const line of execFileSync('cargo', build, { ...options, stdio: [...stdio] }).split('\n')) {
    const made = line.startsWith('{') ? (JSON.parse(line) as Artifact) : null;
    if (made?.target?.name === name && made.executable) return made.executable;
  }
  throw new Error(`cargo did not say where ${name} is`);
}

interface Artifact {
  target?: { name: string };
  executable?: string | null;
}
