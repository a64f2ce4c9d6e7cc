import { afterEach, expect, it, vi } from 'vitest';
import { cacheName } from '../../src/install/kept';
import { forgetPage, registerServiceWorker } from '../../src/install/register';

const FOLDER = 'https://host.example/chat/';

afterEach(() => vi.unstubAllGlobals());

it('removes what is kept of its own folder', async () => {
  const names = new Set([cacheName(FOLDER, 'one'), cacheName(FOLDER, 'two'), 'of another program']);
  const caches = {
    keys: async () => [...names],
    delete: async (name: string) => names.delete(name),
  };
  vi.stubGlobal('caches', caches);
  vi.stubGlobal('location', new URL(`${FOLDER}?new`));
  await forgetPage();
  expect([...names]).toEqual(['of another program']);
});

it('has nothing to remove where the browser keeps nothing', async () => {
  vi.stubGlobal('location', new URL(FOLDER));
  vi.stubGlobal('caches', undefined);
  await forgetPage();
  const refuse = () => Promise.reject(new DOMException('blocked', 'SecurityError'));
  vi.stubGlobal('caches', { keys: refuse });
  await forgetPage();
});

it('registers nothing while the page is developed', () => {
  const register = vi.fn();
  vi.stubGlobal('navigator', { serviceWorker: { register } });
  vi.stubGlobal('document', { readyState: 'complete' });
  registerServiceWorker();
  expect(register).not.toHaveBeenCalled();
});
