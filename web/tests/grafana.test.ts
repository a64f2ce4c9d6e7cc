/** The dashboard for Grafana is checked against the types that Grafana itself is built from. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const DASHBOARD = readFileSync(join(ROOT, 'examples/monitoring/grafana.json'), 'utf8');

/** What the compiler says of a dashboard, as text. */
function faults(dashboard: string): string[] {
  const name = join(import.meta.dirname, 'dashboard.ts');
  const text = `import type { Dashboard } from '@grafana/schema';
    export const dashboard: Dashboard = ${dashboard};`;
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    types: [],
  };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists } = host;
  host.fileExists = (path) => path === name || fileExists(path);
  host.getSourceFile = (path, ...rest) =>
    path === name
      ? ts.createSourceFile(path, text, ts.ScriptTarget.ES2022)
      : getSourceFile(path, ...rest);
  const program = ts.createProgram([name], options, host);
  const said = ts.getPreEmitDiagnostics(program);
  return said.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
}

it('is a dashboard as Grafana reads them', () => {
  expect(faults(DASHBOARD)).toEqual([]);
});

it('would be refused if a part had another type or an unknown name', () => {
  const broken = { ...JSON.parse(DASHBOARD), title: 1 };
  expect(faults(JSON.stringify(broken)).join()).toContain("'number' is not assignable");
  const unknown = { ...JSON.parse(DASHBOARD), tittle: 'banter' };
  expect(faults(JSON.stringify(unknown)).join()).toContain('"tittle"');
});

it('names every panel once, and none covers another', () => {
  const { panels } = JSON.parse(DASHBOARD) as {
    panels: {
      id: number;
      title: string;
      gridPos: { x: number; y: number; w: number; h: number };
    }[];
  };
  const unique = (values: unknown[]) => new Set(values).size === values.length;
  expect(unique(panels.map(({ id }) => id))).toBe(true);
  expect(unique(panels.map(({ title }) => title))).toBe(true);
  const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) => {
    const columns = Array.from({ length: w }, (_, index) => x + index);
    return columns.flatMap((column) =>
      Array.from({ length: h }, (_, row) => `${column} ${y + row}`),
    );
  });
  expect(unique(cells)).toBe(true);
});
