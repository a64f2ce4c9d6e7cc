/** The icons that only the page has. */

export const PAGE_ICONS = {
  again: 'M20 11a8 8 0 1 0-2.3 6.3 M20 4v7h-7',
  edit: 'M4 20h4L19 9l-4-4L4 16z',
  sliders:
    'M4 8h8 M18 8h2 M12 8a3 3 0 1 0 6 0a3 3 0 1 0-6 0 M4 16h2 M12 16h8 M6 16a3 3 0 1 0 6 0a3 3 0 1 0-6 0',
  bin: 'M5 7h14 M10 7V4h4v3 M7 7l1 13h8l1-13',
  choose: 'M7 10l5 5 5-5',
  before: 'M14 7l-5 5 5 5',
  after: 'M10 7l5 5-5 5',
  list: 'M4 5h16v14H4z M9.5 5v14',
  search: 'M10.5 4a6.5 6.5 0 1 0 0 13a6.5 6.5 0 0 0 0-13z M15.5 15.5L20 20',
  pin: 'M9 4h6l-1 6 3 3v2H7v-2l3-3z M12 15v5',
  archive: 'M4 5h16v4H4z M6 9v10h12V9 M10 13h4',
  more: 'M5.5 12h.01 M12 12h.01 M18.5 12h.01',
  upload: 'M12 16V5 M7 9l5-5 5 5 M5 20h14',
  speak: 'M4 10v4h4l5 4V6l-5 4z M16.5 9a4 4 0 0 1 0 6 M19 6.5a8 8 0 0 1 0 11',
  clip: 'M19 11l-7.5 7.5a4.5 4.5 0 0 1-6.4-6.4L13 4.2a3 3 0 0 1 4.3 4.3l-7.7 7.7a1.5 1.5 0 0 1-2.2-2.1L14 7.5',
  device: 'M8 3h8v18H8z M11 18h2',
} as const;
