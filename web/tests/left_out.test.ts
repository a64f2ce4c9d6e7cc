import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { leftOutOf } from '../tests-browser/setup/left_out';
import type { Run } from '../tests-browser/setup/run';

const FOLDER = join(import.meta.dirname, '../tests-browser');
const RUNS: Run[] = [
  { browser: 'chromium', view: 'phone' },
  { browser: 'firefox', view: 'desktop' },
];

it('every test that a browser run leaves out exists', () => {
  for (const { file, tests = [] } of RUNS.flatMap(leftOutOf)) {
    const beginnings = beginningsOfNames(readFileSync(join(FOLDER, file), 'utf8'));
    const exists = (test: string) =>
      beginnings.some((name) => name.startsWith(test) || (name !== '' && test.startsWith(name)));
    expect(
      tests.filter((test) => !exists(test)),
      file,
    ).toEqual([]);
  }
});

it('the run of Chromium on a desktop leaves out nothing', () => {
  expect(leftOutOf({ browser: 'chromium', view: 'desktop' })).toEqual([]);
});

/** The names of tests and groups, up to the first value that differs between tests. */
function beginningsOfNames(source: string): string[] {
  const names = source.matchAll(/\b(?:it|describe)(?:\.each\([^)]*\))?\(\s*(['"`])(.*?)\1/g);
  return [...names].map(([, , name]) => name!.split(/\$\{|%/)[0]!);
}
