/** Values that several tests need. */

import type { Conversation } from '../src/wire';

/** A conversation without messages, except for what a test says of it. */
export function conversation(more: Partial<Conversation> = {}): Conversation {
  return {
    id: 'c1',
    title: null,
    created_ms: 1,
    updated_ms: 1,
    pinned: false,
    archived: false,
    system: null,
    parameters: {},
    leaf: null,
    model: null,
    messages: 0,
    ...more,
  };
}
