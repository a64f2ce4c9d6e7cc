/**
 * The tests that a run leaves out, with the reason. A run of Chromium on a desktop leaves out none.
 *
 * Each run prints what it leaves out. `tests/left_out.test.ts` finds entries that name no test.
 */

import type { Run } from './run';

export interface LeftOut {
  readonly file: string;
  /** How the names of tests or of their groups begin. Without them the whole file is left out. */
  readonly tests?: readonly string[];
  readonly reason: string;
}

const OWN_SIZE = 'it sets its own size, and the run on a desktop has it';

/** What the run on a phone leaves out. */
const ON_A_PHONE: readonly LeftOut[] = [
  {
    file: 'hostile.test.ts',
    reason: 'what cleans an answer knows nothing of sizes, and the file takes longest of all',
  },
  {
    file: 'examples.test.ts',
    reason: 'it is about other pages and clients',
  },
  { file: 'embedding.test.ts', reason: OWN_SIZE },
  { file: 'embedding_pages.test.ts', reason: OWN_SIZE },
  {
    file: 'embedding_hostile.test.ts',
    reason: 'what cleans an answer knows nothing of sizes',
  },
  {
    file: 'engine.test.ts',
    reason: 'it is about the server and the engine behind it',
  },
  {
    file: 'foreign.test.ts',
    reason: 'what the server refuses to pages of others knows nothing of sizes',
  },
  {
    file: 'proxy.test.ts',
    reason: 'it is about addresses and keys behind a proxy',
  },
  {
    file: 'nginx.test.ts',
    reason: 'it is about connections through nginx',
  },
  {
    file: 'install.test.ts',
    reason: 'what the service worker keeps knows nothing of sizes',
  },
  {
    file: 'chat.test.ts',
    tests: ['does not send when Enter ends a composition'],
    reason: 'a phone sends by the button only',
  },
  {
    file: 'composing.test.ts',
    tests: ['are listed, and do what the list says'],
    reason: 'it is about the keyboard of a desktop and the list beside the page',
  },
  {
    file: 'reading.test.ts',
    tests: [
      'the first movement up lets go: a wheel that turns by 4 pixels',
      'the first movement up lets go: a wheel that turns by a notch',
    ],
    reason: 'a phone has no wheel',
  },
  {
    file: 'reading.test.ts',
    tests: ['keeps its place when another answer begins and when a new conversation does'],
    reason: 'on a phone the field is not focused without a press, because the keyboard would rise',
  },
  {
    file: 'reading.test.ts',
    tests: ['cuts off no part of a wide table or formula'],
    reason: 'it takes the window for the paper, and no paper is as narrow as a phone',
  },
  {
    file: 'reading.test.ts',
    tests: [
      'the first movement up lets go: a finger',
      'sends with ',
      'reaches the message field with the first key',
      'on a small screen',
    ],
    reason: OWN_SIZE,
  },
  {
    file: 'looks.test.ts',
    tests: ['nothing is wider than the screen at', 'everything that can be pressed on a phone'],
    reason: OWN_SIZE,
  },
  { file: 'keeping.test.ts', tests: ['is a drawer on a phone'], reason: OWN_SIZE },
  {
    file: 'reconnect.test.ts',
    tests: ['what can be pressed in the status line of a phone'],
    reason: OWN_SIZE,
  },
  {
    file: 'models.test.ts',
    tests: ['can be used with a finger and without eyes'],
    reason: OWN_SIZE,
  },
  {
    file: 'answers.test.ts',
    tests: ['of many Chinese columns has no column of single characters on a phone'],
    reason: OWN_SIZE,
  },
];

const FINGERS = 'Firefox cannot be driven with fingers';
const INPUT_METHODS = 'Firefox cannot be driven with an input method';
const SHIFTS = 'Firefox does not tell what has shifted';
const PRINT = 'Firefox cannot be told to lay out for print';
const SOCKETS = 'only Chromium tells how many sockets are open';

/** What the run of Firefox leaves out: what WebDriver BiDi or Firefox itself does not have. */
const IN_FIREFOX: readonly LeftOut[] = [
  {
    file: 'chat.test.ts',
    tests: ['does not send when Enter ends a composition'],
    reason: INPUT_METHODS,
  },
  {
    file: 'composing.test.ts',
    tests: ['is sent ahead after a pause, but not while an input method composes'],
    reason: INPUT_METHODS,
  },
  {
    file: 'composing.test.ts',
    tests: ['can come by paste'],
    reason: 'in Firefox a script cannot make a paste that has files',
  },
  {
    file: 'reading.test.ts',
    tests: [
      'the first movement up lets go: a finger',
      'sends with ',
      'reaches the message field with the first key',
    ],
    reason: FINGERS,
  },
  {
    file: 'reading.test.ts',
    tests: ['nothing is pushed about at the first visit'],
    reason: SHIFTS,
  },
  { file: 'reading.test.ts', tests: ['printing'], reason: PRINT },
  { file: 'embedding_pages.test.ts', tests: ['a page that a phone shrinks'], reason: FINGERS },
  { file: 'embedding_pages.test.ts', tests: ['paper has neither'], reason: PRINT },
  {
    file: 'looks.test.ts',
    tests: ['everything that can be pressed on a phone is 44 px high'],
    reason: FINGERS,
  },
  { file: 'looks.test.ts', tests: ['nothing shifts while'], reason: SHIFTS },
  { file: 'keeping.test.ts', tests: ['is a drawer on a phone'], reason: FINGERS },
  {
    file: 'reconnect.test.ts',
    tests: ['what can be pressed in the status line of a phone'],
    reason: FINGERS,
  },
  {
    file: 'reconnect.test.ts',
    tests: [
      'the page keeps what was there, says so, and goes on by itself',
      'only one try is ever under way',
    ],
    reason: SOCKETS,
  },
  {
    file: 'reconnect.test.ts',
    tests: ['a network that is gone is noticed at once'],
    reason: 'Firefox cannot be taken off the network',
  },
  {
    file: 'models.test.ts',
    tests: ['can be used with a finger and without eyes'],
    reason: FINGERS,
  },
  {
    file: 'changing.test.ts',
    tests: [
      'of the settings goes with the one before it, and the last word counts',
      'of the settings counts for the message that is sent right after it',
      'of many bytes reaches the server, too',
    ],
    reason: 'in Firefox, what Playwright fills in is no change of a field, and it adds to a number',
  },
  {
    file: 'install.test.ts',
    tests: ['makes the page installable'],
    reason: 'only Chromium tells whether a page can be installed',
  },
];

export function leftOutOf({ browser, view }: Run): readonly LeftOut[] {
  if (browser === 'firefox' && view === 'phone')
    throw new Error('Firefox cannot be driven with fingers: BANTER_VIEW=phone is for Chromium');
  return [...(view === 'phone' ? ON_A_PHONE : []), ...(browser === 'firefox' ? IN_FIREFOX : [])];
}

/** The files that a run leaves out. */
export function filesLeftOutOf(run: Run): string[] {
  return leftOutOf(run).flatMap(({ file, tests }) => (tests ? [] : [file]));
}

/** Why a run leaves out a test of a file, which has this name in groups of these names. */
export function whyLeftOut(run: Run, file: string, names: readonly string[]): string | null {
  const entry = leftOutOf(run).find(
    (entry) =>
      entry.file === file &&
      entry.tests?.some((start) => names.some((name) => name.startsWith(start))),
  );
  return entry?.reason ?? null;
}

/** What is left out of a run, as lines to print. */
export function linesAbout(run: Run): string[] {
  return leftOutOf(run).flatMap(({ file, tests = ['all tests'], reason }) =>
    tests.map((test) => `left out: ${file}: ${test}: ${reason}`),
  );
}
