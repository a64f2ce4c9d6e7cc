/** Builds the page for administrators, with files of its own: the chat loads nothing more for it. */

import { join } from 'node:path';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { build, type Plugin, type Rolldown } from 'vite';
import { cssHash } from './widget_build.ts';

/** Adds `admin.html` and its files to a build. */
export function adminPage(): Plugin {
  return {
    name: 'admin-page',
    apply: 'build',
    enforce: 'post',
    async generateBundle() {
      for (const output of await compile()) {
        const source = output.type === 'chunk' ? output.code : output.source;
        this.emitFile({ type: 'asset', fileName: output.fileName, source });
      }
    },
  };
}

async function compile(): Promise<Rolldown.RolldownOutput['output'][number][]> {
  const built = await build({
    configFile: false,
    publicDir: false,
    logLevel: 'warn',
    base: './',
    plugins: [svelte({ compilerOptions: { cssHash } })],
    build: {
      write: false,
      target: 'es2022',
      modulePreload: { polyfill: false },
      rolldownOptions: { input: join(import.meta.dirname, 'admin.html') },
    },
  });
  return [built].flat().flatMap((one) => ('output' in one ? one.output : []));
}
