import { detectLanguage, type Language } from './detect';
import { en, type Words } from './en';
import type { TalkWords } from './talk/en';
import { zh } from './zh';

export { detectLanguage };
export type { Language, TalkWords, Words };

export const DICTIONARIES: Record<Language, Words> = { zh, en };
