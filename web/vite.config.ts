import { svelte } from '@sveltejs/vite-plugin-svelte';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

/** KaTeX names three formats of each font; every browser that can run the page reads woff2. */
function woff2Only(): Plugin {
  return {
    name: 'woff2-only',
    enforce: 'pre',
    transform(code, id) {
      if (!id.includes('katex') || !id.endsWith('.css')) return null;
      return code.replace(/,\s*url\([^)]*\.(?:woff|ttf)\)\s*format\([^)]*\)/g, '');
    },
  };
}

export default defineConfig({
  plugins: [woff2Only(), svelte()],
  // Relative addresses, so that the page also works below a path such as /chat/.
  base: './',
  build: {
    outDir: '../crates/server/assets',
    emptyOutDir: true,
    target: 'es2022',
    // The content security policy allows fonts and scripts from our own address only, no data: URLs.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 300,
  },
  server: { proxy: backend('http://127.0.0.1:7860') },
  test: {
    projects: [
      {
        extends: true,
        // Nothing here measures time: the limit is for what hangs, on however busy a machine.
        test: { name: 'unit', include: ['tests/**/*.test.ts'], testTimeout: 60_000 },
      },
      {
        extends: true,
        test: {
          name: 'browser',
          include: ['tests-browser/**/*.test.ts'],
          globalSetup: 'tests-browser/setup/build.ts',
          // As above. Every wait within a test has a shorter limit of its own.
          testTimeout: 120_000,
          hookTimeout: 120_000,
          maxWorkers: 2,
        },
      },
      {
        extends: true,
        test: {
          name: 'long',
          include: ['tests-long/**/*.test.ts'],
          testTimeout: 900_000,
          hookTimeout: 600_000,
          // They measure: one at a time.
          maxWorkers: 1,
        },
      },
    ],
  },
});

/** While developing, everything but the page comes from a running banter. */
function backend(target: string) {
  const routes = ['/api', '/ready', '/tokenize'].map((path) => [path, { target }] as const);
  return { ...Object.fromEntries(routes), '/ws': { target, ws: true } };
}
