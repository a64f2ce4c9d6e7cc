import type { Preferences } from './storage/preferences';

type Theme = Preferences['theme'];

/**
 * What a press on the theme button leads to. From the system's theme it leads to the other one, so
 * that the first press changes what is seen.
 */
export function nextTheme(theme: Theme, system: 'light' | 'dark'): Theme {
  const other = system === 'light' ? 'dark' : 'light';
  if (theme === 'auto') return other;
  return theme === other ? system : 'auto';
}

export function systemTheme(): 'light' | 'dark' {
  return matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
}
