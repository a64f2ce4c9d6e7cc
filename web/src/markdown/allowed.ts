/** What HTML made from a model's words may hold; both cleaners keep to it. */

/** Their values are never addresses, so the rule for addresses does not apply to them. */
export const INERT_ATTRIBUTES = [
  ...['start', 'data-math', 'data-language', 'data-open', 'data-table', 'data-align'],
  ...['data-task', 'data-footnote'],
];

export const TAGS = [
  ...['p', 'br', 'hr', 'strong', 'em', 'del', 'code', 'pre', 'blockquote', 'ul', 'ol', 'li'],
  ...['h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'a', 'span', 'div'],
  ...['table', 'thead', 'tbody', 'tr', 'th', 'td', 'details', 'summary'],
  ...['sub', 'sup', 'kbd', 'mark', 'u', 's'],
];

export const ADDRESS = /^(?:https?:\/\/|mailto:)/i;

/** A link opens in another tab, and its page learns nothing about this one. */
export function openElsewhere(link: Element): void {
  link.setAttribute('target', '_blank');
  link.setAttribute('rel', 'noopener noreferrer nofollow');
}
