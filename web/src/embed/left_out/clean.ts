/**
 * Stands in for DOMPurify in the widget, where it would be a seventh of the script. Nothing of what
 * the browser makes of the HTML is put into a page: elements of the list are made anew with the
 * attributes of the list, and of all others only the text is kept.
 */

import { ADDRESS, INERT_ATTRIBUTES, openElsewhere, TAGS } from '../../markdown/allowed';

/** The nodes of a block of an answer, safe to be put into a page. */
export function cleanNodes(html: string): DocumentFragment {
  const parsed = new DOMParser().parseFromString(trusted(html), 'text/html');
  const fragment = document.createDocumentFragment();
  copyChildren(parsed.body, fragment);
  return fragment;
}

function copyChildren(from: Node, to: Node): void {
  for (const node of from.childNodes) {
    if (node instanceof Element) copyChildren(node, copyElement(node, to));
    else if (node instanceof Text) to.appendChild(document.createTextNode(node.data));
  }
}

/** Returns where the children go. */
function copyElement(element: Element, to: Node): Node {
  if (!TAGS.includes(element.localName)) return to;
  const copy = document.createElement(element.localName);
  for (const { name, value } of element.attributes)
    if (INERT_ATTRIBUTES.includes(name) || (name === 'href' && ADDRESS.test(value)))
      copy.setAttribute(name, value);
  if (element.localName === 'a') openElsewhere(copy);
  return to.appendChild(copy);
}

/** TypeScript does not know this part of browsers yet. */
interface TrustedTypes {
  createPolicy(
    name: string,
    rules: { createHTML: (html: string) => string },
  ): { createHTML: (html: string) => string };
}

/** Some pages let only named policies parse HTML. A parsed document runs and loads nothing. */
const policy = createPolicy();

function createPolicy() {
  const { trustedTypes } = window as { trustedTypes?: TrustedTypes };
  try {
    return trustedTypes?.createPolicy('banter', { createHTML: (html) => html });
  } catch {
    // The page's list of names lacks this one, and the browser has said so.
    return undefined;
  }
}

function trusted(html: string): string {
  return policy ? policy.createHTML(html) : html;
}
