/** Stands in for the icons that the widget does not show. */

export const PAGE_ICONS = {};
