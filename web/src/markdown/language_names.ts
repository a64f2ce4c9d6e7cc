/** The names that models give to languages of code. */

/** Names that the highlighter does not know, by the ones that it knows. */
const ALIASES: Readonly<Record<string, readonly string[]>> = {
  python: ['python2', 'python3', 'py2', 'py3', 'ipython', 'ipython3', 'cpython', 'pycon', 'sage'],
  xml: ['vue', 'svelte', 'htm', 'html5', 'angular', 'astro'],
  javascript: ['node', 'nodejs', 'ecmascript', 'es6', 'javascriptreact'],
  typescript: ['typescriptreact', 'deno'],
  bash: ['zsh', 'fish', 'ash', 'shellscript', 'shell-script', 'bashrc'],
  shell: ['shell-session', 'sh-session', 'cmd', 'bat', 'batch'],
  powershell: ['posh', 'power-shell'],
  cpp: ['cplusplus', 'cuda', 'arduino'],
  csharp: ['c-sharp', 'dotnet'],
  c: ['clang', 'c99', 'c11', 'ansi-c'],
  sql: ['mysql', 'postgresql', 'postgres', 'sqlite', 'plsql', 'tsql', 'sqlite3', 'mssql'],
  json: ['jsonl', 'ndjson', 'json-lines'],
  yaml: ['yml', 'docker-compose', 'compose'],
  ini: ['conf', 'cfg', 'properties', 'env', 'dotenv'],
  go: ['go-lang'],
  rust: ['rs2021'],
  makefile: ['make', 'gnumake'],
  r: ['rscript', 'rlang'],
};

const NAMES = new Map(
  Object.entries(ALIASES).flatMap(([name, aliases]) => aliases.map((alias) => [alias, name])),
);

/**
 * The name of the language in the words after a fence, as it is written: `python title="x"`,
 * `{.python}`, `js{1,3}` and `ts:app.ts` name one, markup does not.
 */
export function languageName(info: string | undefined): string {
  return /^\{?\.?([\w+#.-]{1,20})(?=[\s{}:,([]|$)/.exec(info ?? '')?.[1] ?? '';
}

/** What the highlighter calls that language. */
export function highlighterName(language: string): string {
  const name = language.toLowerCase();
  return NAMES.get(name) ?? name;
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
