/** Every state of the page is accessible, in both themes. */

import { describe, expect, it } from 'vitest';
import { violations } from './setup/axe';
import { Pages } from './setup/pages';
import { prefer } from './setup/prefer';
import { STATES } from './setup/states';

const pages = new Pages();

describe('axe finds nothing in', () => {
  for (const { name, reach } of STATES) {
    it(name, async () => {
      const page = await reach(pages);
      for (const theme of ['light', 'dark'] as const) {
        await prefer(page, { theme });
        expect(await violations(page), theme).toEqual([]);
      }
    });
  }
});
