/** The lines of the icons, in a square of 24 by 24. */

import { PAGE_ICONS } from './page_icons';

export const PATHS = {
  copy: 'M9 9h10v11H9z M5 15V4h10',
  check: 'M5 12.5l4.5 4.5L19 7.5',
  close: 'M6 6l12 12 M18 6L6 18',
  down: 'M12 5v14 M6 13l6 6 6-6',
  up: 'M12 19V5 M6 11l6-6 6 6',
  stop: 'M7 7h10v10H7z',
  write: 'M5 19h14 M6 15l9-9 3 3-9 9H6z',
  download: 'M12 4v11 M7 11l5 5 5-5 M5 20h14',
  talk: 'M4 5h16v11H11l-4.5 4v-4H4z',
  wrap: 'M4 6h16 M4 12h13a3 3 0 0 1 0 6h-4 M15 15l-3 3 3 3 M4 18h4',
  ...PAGE_ICONS,
} as const;
