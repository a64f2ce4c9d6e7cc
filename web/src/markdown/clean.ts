/** The cleaner: the one way by which HTML made from a model's words reaches the page. */

import DOMPurify, { type Config } from 'dompurify';

/** Their values are never addresses, so the rule for addresses does not apply to them. */
const INERT_ATTRIBUTES = [
  ...['start', 'data-math', 'data-language', 'data-open', 'data-table', 'data-align'],
  ...['data-task', 'data-footnote'],
];

const ANSWER: Config = {
  ALLOWED_TAGS: [
    ...['p', 'br', 'hr', 'strong', 'em', 'del', 'code', 'pre', 'blockquote', 'ul', 'ol', 'li'],
    ...['h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'a', 'span', 'div'],
    ...['table', 'thead', 'tbody', 'tr', 'th', 'td', 'details', 'summary'],
    ...['sub', 'sup', 'kbd', 'mark', 'u', 's'],
  ],
  ALLOWED_ATTR: ['href', ...INERT_ATTRIBUTES],
  ADD_URI_SAFE_ATTR: INERT_ATTRIBUTES,
  ALLOWED_URI_REGEXP: /^(?:https?:\/\/|mailto:)/i,
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};

const CODE: Config = { ALLOWED_TAGS: ['span'], ALLOWED_ATTR: ['class'], RETURN_DOM_FRAGMENT: true };

/** Cleaners that read their rules once: doing so takes as long as cleaning a short block. */
const [forAnswers, forCode] = [DOMPurify(window), DOMPurify(window)];
forAnswers.setConfig(ANSWER);
forCode.setConfig(CODE);

// A link opens in another tab, and its page learns nothing about this one.
forAnswers.addHook('afterSanitizeAttributes', (node) => {
  if (node.nodeName !== 'A') return;
  node.setAttribute('target', '_blank');
  node.setAttribute('rel', 'noopener noreferrer nofollow');
});

/** The nodes of a block of an answer, safe to be put into the page. */
export function cleanNodes(html: string): DocumentFragment {
  return forAnswers.sanitize(html) as unknown as DocumentFragment;
}

/** Highlighted code, as nodes. */
export function cleanCode(html: string): DocumentFragment {
  return forCode.sanitize(html) as unknown as DocumentFragment;
}
