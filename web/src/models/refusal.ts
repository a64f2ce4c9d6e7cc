import type { Words } from '../words';
import type { Refusal } from './models.svelte';

/** Why an order was refused, in plain words where there are some. */
export function refusalText({ said, isNoName }: Refusal, words: Words): string {
  if (isNoName) return words.otherModelRefused;
  if (said === 'refused') return words.keyRefused;
  if (said === 'too_often') return words.tooOften;
  return said === '' || said === 'away' ? words.away : said;
}
