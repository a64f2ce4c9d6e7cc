/** Builds the widget: one script that pages of other sites load, with its styles inside. */

import { join } from 'node:path';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { build, type Plugin } from 'vite';

const EMBED = join(import.meta.dirname, 'src/embed');
/** Where the styles come in the script. */
const STYLES = '%WIDGET_STYLES%';
const ROOT_PX = 16;
/** The styles of a component have its name. Hashes would not become smaller by compression. */
export const cssHash = ({ name }: { name: string }) => `in-${name}`;

/** Adds `embed.js` to a build. Pages name it, so its name has no hash. */
export function widget(): Plugin {
  return {
    name: 'widget',
    apply: 'build',
    enforce: 'post',
    async generateBundle() {
      this.emitFile({ type: 'asset', fileName: 'embed.js', source: await compileWidget() });
    },
  };
}

async function compileWidget(): Promise<string> {
  const built = await build({
    configFile: false,
    publicDir: false,
    logLevel: 'warn',
    // Nodes are made one by one: HTML is set nowhere, so pages need to allow less.
    plugins: [svelte({ compilerOptions: { cssHash, fragments: 'tree' } }), leaveOut()],
    define: {
      WIDGET_STYLES: JSON.stringify(STYLES),
      'process.env.NODE_ENV': JSON.stringify('production'),
    },
    build: {
      write: false,
      target: 'es2022',
      cssTarget: ['chrome123', 'firefox120', 'safari17.5'],
      // Slower than the usual one, and its scripts are smaller.
      minify: 'terser',
      terserOptions: {
        ecma: 2022,
        compress: { passes: 3, pure_getters: true, unsafe_arrows: true },
        mangle: { toplevel: true },
      },
      // As a library it has no code that would load further files.
      lib: { entry: join(EMBED, 'main.ts'), formats: ['iife'], name: 'banter', fileName: 'embed' },
    },
  });
  const outputs = [built].flat().flatMap((one) => ('output' in one ? one.output : []));
  const sheets = outputs.filter(({ fileName }) => fileName.endsWith('.css'));
  const scripts = outputs.filter((output) => output.type === 'chunk');
  const [sheet, script] = [sheets[0], scripts[0]];
  if (sheets.length !== 1 || scripts.length !== 1 || sheet?.type !== 'asset' || !script)
    throw new Error(`expected one script and one sheet, found ${outputs.length} files`);
  const styles = JSON.stringify(inPixels(String(sheet.source)));
  const place = new RegExp(`["'\`]${STYLES}["'\`]`);
  if (!place.test(script.code)) throw new Error('the script has no place for its styles');
  return script.code.replace(place, () => styles);
}

/** A site chooses the size of its own text; `rem` would change the widget's with it. */
function inPixels(styles: string): string {
  return styles.replace(/(-?(?:\d+\.?\d*|\.\d+))rem\b/g, (_, size: string) => {
    return `${Number((Number(size) * ROOT_PX).toFixed(3))}px`;
  });
}

/** What the page loads when it is first needed is left out: see `src/embed/left_out`. */
function leaveOut(): Plugin {
  return {
    name: 'leave-out',
    enforce: 'pre',
    resolveId(source) {
      const name = /\/(math|highlight|language_aliases|clean|page_icons)$/.exec(source)?.[1];
      return name ? join(EMBED, `left_out/${name}.ts`) : null;
    },
  };
}
