import type { Preferences } from './storage/preferences';

type Theme = Preferences['theme'];

/**
 * The theme after a press on the theme button. After "same as the system" comes the opposite of the
 * system's theme, so that the first press changes something visible.
 */
export function nextTheme(theme: Theme, system: 'light' | 'dark'): Theme {
  const other = system === 'light' ? 'dark' : 'light';
  if (theme === 'auto') return other;
  return theme === other ? system : 'auto';
}

export function systemTheme(): 'light' | 'dark' {
  return matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
}
