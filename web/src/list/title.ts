import type { Conversation } from '../wire';
import type { Words } from '../words';

/** The title of a conversation, also before it has one. */
export function titleOfConversation({ title }: Conversation, words: Words): string {
  return title ?? words.untitled;
}
