/** The address of what is shown: the conversation stands behind `#`, so no proxy's log has it. */

import type { ConversationId } from './wire';

/** Ids are shorter; the server takes no longer tags than this. */
const CONVERSATION = /^#\/c\/([0-9A-Za-z]{1,64})$/;

/** The conversation that an address names; `null` for a new one. */
export function conversationIn(hash: string): ConversationId | null {
  return CONVERSATION.exec(hash)?.[1] ?? null;
}

export function hashOf(conversation: ConversationId | null): string {
  return conversation === null ? '#/' : `#/c/${conversation}`;
}

/** Shows the address without loading anything. A step back returns to the one before. */
export function show(conversation: ConversationId | null, how: 'push' | 'replace'): void {
  const address = location.pathname + location.search + hashOf(conversation);
  if (location.hash === hashOf(conversation)) return;
  if (how === 'push') history.pushState(null, '', address);
  else history.replaceState(null, '', address);
}
