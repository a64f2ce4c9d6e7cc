/** The names that models give to languages of code. */

import { highlighterName } from './language_aliases';

/**
 * The name of the language in the words after a fence, as it is written: `python title="x"`,
 * `{.python}`, `js{1,3}` and `ts:app.ts` name one, markup does not.
 */
export function languageName(info: string | undefined): string {
  return /^\{?\.?([\w+#.-]{1,20})(?=[\s{}:,([]|$)/.exec(info ?? '')?.[1] ?? '';
}

/** The usual ends of names of files, by the language. */
const EXTENSIONS: Readonly<Record<string, string>> = {
  bash: 'sh',
  c: 'c',
  cpp: 'cpp',
  csharp: 'cs',
  css: 'css',
  diff: 'diff',
  go: 'go',
  html: 'html',
  ini: 'ini',
  java: 'java',
  javascript: 'js',
  json: 'json',
  kotlin: 'kt',
  markdown: 'md',
  php: 'php',
  powershell: 'ps1',
  python: 'py',
  ruby: 'rb',
  rust: 'rs',
  shell: 'sh',
  sql: 'sql',
  swift: 'swift',
  typescript: 'ts',
  xml: 'xml',
  yaml: 'yaml',
};

/** A name for a file with code in a language. */
export function fileNameOf(language: string): string {
  const written = language.toLowerCase();
  const known = EXTENSIONS[highlighterName(language)] ?? EXTENSIONS[written];
  const isExtension = Object.values(EXTENSIONS).includes(written);
  if (highlighterName(language) === 'makefile') return 'Makefile';
  return `code.${known ?? (isExtension ? written : 'txt')}`;
}
