/** A list of models, in the place of the server's own. */

import type { Page } from 'playwright-core';
import type { ModelEntry, ModelList } from '../../src/wire';

const GB = 1_000_000_000;

function model(name: string, more: Partial<ModelEntry>): ModelEntry {
  const available = { state: 'available', bytes: 4 * GB, downloaded_bytes: 0 } as const;
  const facts = { licence: 'Apache-2.0', is_open: true, memory_bytes: 5 * GB, fits: true };
  return { name, ...available, ...facts, demo: false, ...more };
}

const LIST: ModelList = {
  current: 'demo',
  may_change: true,
  models: [
    model('demo', { state: 'installed', bytes: 5_000_000, memory_bytes: GB / 50, demo: true }),
    model('qwen2.5:0.5b', { state: 'installed', bytes: GB / 2, memory_bytes: GB }),
    model('qwen2.5:1.5b', { state: 'partial', bytes: 2 * GB, downloaded_bytes: GB }),
    model('qwen2.5:3b', { licence: 'Qwen Research', is_open: false }),
    model('qwen2.5:7b', {}),
    model('qwen2.5:72b', { bytes: 47 * GB, memory_bytes: 52 * GB, fits: false }),
  ],
  pull: {
    name: 'qwen2.5:7b',
    phase: 'fetching',
    downloaded_bytes: GB,
    total_bytes: 4 * GB,
    state: { status: 'running' },
  },
  switch: null,
};

/** Shows the sheet of models while one of them is downloaded. */
export async function showModels(page: Page): Promise<void> {
  await page.route('**/api/models', (route) => route.fulfill({ json: LIST }));
  await page.route('**/api/info', async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, json: { ...(await response.json()), has_models: true } });
  });
  await page.reload();
  await page.getByRole('button', { name: /^Model: / }).click();
  await page.getByRole('listitem').filter({ hasText: 'qwen2.5:72b' }).waitFor();
}
