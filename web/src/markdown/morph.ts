/**
 * Changes nodes as little as possible to make them like new ones. A growing block is drawn in every
 * frame; if its nodes were replaced, the selection, a pressed link, the focus and the scroll
 * position inside it would be lost.
 */

/**
 * Says of two elements whether the first stays as it is, becomes the second, or gives way to it.
 */
export type Decide = (old: Element, fresh: Element) => 'keep' | 'morph' | 'replace';

/** Makes the children of `old` like those of `fresh`, whose nodes are used up. */
export function morphChildren(old: Node, fresh: Node, decide: Decide): void {
  let current = old.firstChild;
  for (const next of [...fresh.childNodes]) {
    const following: ChildNode | null = current?.nextSibling ?? null;
    if (!current) old.appendChild(next);
    else if (!morphNode(current, next, decide)) current.replaceWith(next);
    current = following;
  }
  while (current) {
    const following: ChildNode | null = current.nextSibling;
    current.remove();
    current = following;
  }
}

/** Makes `old` like `fresh`. Returns whether that could be done. */
export function morphNode(old: Node, fresh: Node, decide: Decide): boolean {
  if (old instanceof Text && fresh instanceof Text) {
    growText(old, fresh.data);
    return true;
  }
  if (!(old instanceof Element && fresh instanceof Element)) return false;
  if (old.nodeName !== fresh.nodeName) return false;
  const decision = decide(old, fresh);
  if (decision === 'morph') {
    morphAttributes(old, fresh);
    morphChildren(old, fresh, decide);
  }
  return decision !== 'replace';
}

/** Changes only the differing part: setting the whole text would end a selection in it. */
export function growText(node: Text, text: string): void {
  const { data } = node;
  if (text === data) return;
  if (text.startsWith(data)) return node.appendData(text.slice(data.length));
  let same = 0;
  while (same < data.length && data[same] === text[same]) same += 1;
  node.replaceData(same, data.length - same, text.slice(same));
}

function morphAttributes(old: Element, fresh: Element): void {
  for (const { name } of [...old.attributes]) {
    // Details that a person has unfolded stay open.
    if (!fresh.hasAttribute(name) && name !== 'open') old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}
