/**
 * Pictures of the main states, in target/screenshots. The run on a desktop and the run on a phone
 * make them in each language, each in another theme, so that each theme meets each size and each
 * language. Firefox makes none: the page's policy refuses the style with which Playwright makes
 * them there.
 */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { layoutFaults } from './setup/layout';
import { Pages } from './setup/pages';
import { prefer } from './setup/prefer';
import { RUN } from './setup/run';
import { STATES } from './setup/states';

const FOLDER = join(import.meta.dirname, '../../target/screenshots');

const PICTURED = [
  'an empty page',
  'a conversation',
  'versions',
  'a long question',
  'an editor',
  'thinking',
  'an answer that is being written',
  'an answer that failed',
  'a message that waits for an answer',
  'a server that is away',
  'attached files',
  'refused files',
  "a message's menu",
  'the settings',
  'the models',
  'the sign-in page',
  'the list of conversations',
  'a search',
];

const LOOKS =
  RUN.view === 'phone'
    ? ([
        { language: 'en', theme: 'dark' },
        { language: 'zh', theme: 'light' },
      ] as const)
    : ([
        { language: 'en', theme: 'light' },
        { language: 'zh', theme: 'dark' },
      ] as const);

const pages = new Pages();

describe('everything has its place in', () => {
  mkdirSync(FOLDER, { recursive: true });
  for (const name of PICTURED) {
    it(name, async () => {
      const page = await STATES.find((state) => state.name === name)!.reach(pages);
      for (const { language, theme } of LOOKS) {
        await prefer(page, { language, theme });
        const words = name.replace(/^(?:an?|the) /, '').replaceAll(/\W+/g, '-');
        const picture = [words, RUN.view, language, theme].join('-');
        const path = join(FOLDER, `${picture}.png`);
        if (RUN.browser === 'chromium') await page.screenshot({ path, animations: 'disabled' });
        expect(await layoutFaults(page), picture).toEqual([]);
      }
    });
  }
});
