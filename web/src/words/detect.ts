export type Language = 'zh' | 'en';

/** The first language the browser asks for that there is a dictionary for; English otherwise. */
export function detectLanguage(wanted: readonly string[]): Language {
  for (const tag of wanted) {
    const language = tag.toLowerCase().split('-')[0];
    if (language === 'zh' || language === 'en') return language;
  }
  return 'en';
}
