import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { build, type Plugin, type Rolldown } from 'vite';
import { defineConfig } from 'vitest/config';
import { adminPage } from './admin_build.ts';
import type { Build } from './src/install/kept';
import { filesLeftOutOf } from './tests-browser/setup/left_out.ts';
import { RUN } from './tests-browser/setup/run.ts';
import { cssHash, widget } from './widget_build.ts';

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

/** Builds the service worker to `sw.js`. It keeps the files of this build. */
function serviceWorker(): Plugin {
  return {
    name: 'service-worker',
    apply: 'build',
    // After Vite's own plugin for HTML, because the page is one of the files.
    enforce: 'post',
    async generateBundle(_options, bundle) {
      const source = await compileServiceWorker(describe(Object.values(bundle)));
      // Browsers look for a new one at the address of the old one, so the name has no hash.
      this.emitFile({ type: 'asset', fileName: 'sw.js', source });
    },
  };
}

function describe(outputs: readonly (Rolldown.OutputAsset | Rolldown.OutputChunk)[]): Build {
  const entry = outputs.find((output) => output.type === 'chunk' && output.isEntry)?.fileName;
  const page = outputs.find(({ fileName }) => fileName === 'index.html');
  if (!entry || page?.type !== 'asset') throw new Error('the build has no page or no script');
  // Fonts are left out: they are large, and few answers need them.
  const names = outputs.map(({ fileName }) => fileName);
  const hashed = names.filter((name) => /\.(?:js|css)$/.test(name)).sort();
  // It runs before the page is drawn, and comes from public/ under its own name.
  const fixed = ['assets/theme.js'];
  const version = createHash('sha256').update(page.source).update(hashed.join());
  for (const name of fixed) version.update(readFileSync(join(import.meta.dirname, 'public', name)));
  return { version: version.digest('hex').slice(0, 8), entry, hashed, fixed };
}

/** One script without imports, which every browser can run as a service worker. */
async function compileServiceWorker(description: Build): Promise<string> {
  const input = join(import.meta.dirname, 'src/install/service_worker.ts');
  const output = { format: 'iife' } as const;
  const built = await build({
    configFile: false,
    publicDir: false,
    logLevel: 'warn',
    define: { BUILD: JSON.stringify(description) },
    build: { write: false, target: 'es2022', rolldownOptions: { input, output } },
  });
  if (!('output' in built)) throw new Error('the service worker was not built');
  return built.output[0].code;
}

export default defineConfig({
  plugins: [
    woff2Only(),
    svelte({ compilerOptions: { cssHash } }),
    serviceWorker(),
    widget(),
    adminPage(),
  ],
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
          exclude: filesLeftOutOf(RUN).map((file) => `tests-browser/${file}`),
          globalSetup: 'tests-browser/setup/build.ts',
          setupFiles: 'tests-browser/setup/leave_out.ts',
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
