import { expect, it } from 'vitest';
import info from '../../crates/server/tests/info.json';
import type { ServerInfo } from '../src/conversation/types';

/** The compiler asks for every name that the page knows, and for no other. */
const KNOWN: Record<keyof ServerInfo, true> = {
  version: true,
  model: true,
  context_tokens: true,
  limits: true,
  defaults: true,
  engine: true,
  parameters: true,
  counts_tokens: true,
  has_models: true,
  real_model_command: true,
  insecure: true,
  owner: true,
};

it('the page knows exactly what the server tells about itself', () => {
  const typed: ServerInfo = info;
  expect(Object.keys(typed).sort()).toEqual(Object.keys(KNOWN).sort());
  expect(Object.keys(typed.model).sort()).toEqual([
    'demo',
    'licence',
    'name',
    'parameters',
    'weights_bytes',
  ] satisfies (keyof ServerInfo['model'])[]);
});
