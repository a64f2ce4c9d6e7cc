/** The cleaner: the one way by which HTML made from a model's words reaches the page. */

import DOMPurify, { type Config } from 'dompurify';
import { ADDRESS, INERT_ATTRIBUTES, openElsewhere, TAGS } from './allowed';

const ANSWER: Config = {
  ALLOWED_TAGS: TAGS,
  ALLOWED_ATTR: ['href', ...INERT_ATTRIBUTES],
  ADD_URI_SAFE_ATTR: INERT_ATTRIBUTES,
  ALLOWED_URI_REGEXP: ADDRESS,
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};

const CODE: Config = { ALLOWED_TAGS: ['span'], ALLOWED_ATTR: ['class'], RETURN_DOM_FRAGMENT: true };

/** Cleaners that read their rules once: doing so takes as long as cleaning a short block. */
const [forAnswers, forCode] = [DOMPurify(window), DOMPurify(window)];
forAnswers.setConfig(ANSWER);
forCode.setConfig(CODE);

forAnswers.addHook('afterSanitizeAttributes', (node) => {
  if (node.nodeName === 'A') openElsewhere(node);
});

/** The nodes of a block of an answer, safe to be put into the page. */
export function cleanNodes(html: string): DocumentFragment {
  return forAnswers.sanitize(html) as unknown as DocumentFragment;
}

/** Highlighted code, as nodes. */
export function cleanCode(html: string): DocumentFragment {
  return forCode.sanitize(html) as unknown as DocumentFragment;
}
