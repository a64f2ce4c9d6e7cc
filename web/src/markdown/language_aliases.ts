/** What the highlighter calls the languages that models name. */

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

/** What the highlighter calls that language. */
export function highlighterName(language: string): string {
  const name = language.toLowerCase();
  return NAMES.get(name) ?? name;
}
