/** The widget's words: those of every conversation, and its own. */

import { detectLanguage } from '../words/detect';
import { talkEn, type TalkWords } from '../words/talk/en';
import { talkZh } from '../words/talk/zh';

const ownEn = {
  title: 'Chat',
  greeting: 'What would you like to know?',
  open: (title: string) => `Open: ${title}`,
  closeChat: 'Close',
  pageRefused: (origin: string) =>
    `Pages of ${origin} may not use this chat. Whoever runs the server can allow them: banter key add --scope embed --origin ${origin}`,
  keyRefused:
    'The key of this chat is wrong, has ended or was revoked. Whoever runs this site can put in a new one.',
};

const ownZh: typeof ownEn = {
  title: '聊天',
  greeting: '想了解些什么？',
  open: (title: string) => `打开：${title}`,
  closeChat: '关闭',
  pageRefused: (origin: string) =>
    `${origin} 的网页无权使用此聊天。服务器的运行者可以允许它：banter key add --scope embed --origin ${origin}`,
  keyRefused: '此聊天的密钥错误、已过期或已被撤销。本站的维护者可以换上新的密钥。',
};

export type WidgetWords = TalkWords & typeof ownEn;

export const WIDGET_WORDS: Record<'en' | 'zh', WidgetWords> = {
  en: { ...talkEn, ...ownEn },
  zh: { ...talkZh, ...ownZh },
};

/** The words for the first of these languages that there are words for. */
export function wordsFor(languages: readonly string[]): WidgetWords {
  return WIDGET_WORDS[detectLanguage(languages)];
}
