/**
 * Puts text on the clipboard, and the same as HTML; returns whether it worked. `pressed` is what a
 * person has pressed for it, also within a shadow tree.
 */
export async function copyText(
  text: string,
  html: string | null = null,
  pressed: Element | null = document.activeElement,
): Promise<boolean> {
  if (html !== null && (await copyBoth(text, html))) return true;
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Plain http on another machine's address has no clipboard API; the old way still works there.
    return copyBySelection(text, pressed);
  }
}

/**
 * An answer as HTML for programs that paste it: without buttons, labels and decoration. Formulas
 * stay as MathML.
 */
export function portableHtml(answer: Element): string {
  return new XMLSerializer().serializeToString(withoutOurs(answer));
}

/** An answer as plain text: as it is drawn, without marks, buttons and labels. */
export function plainText(answer: Element): string {
  const copy = withoutOurs(answer) as HTMLElement;
  // Only what is drawn has lines and paragraphs.
  const place = document.createElement('div');
  place.className = 'visually-hidden';
  place.append(copy);
  document.body.append(place);
  const text = copy.innerText.trim();
  place.remove();
  return text;
}

function withoutOurs(answer: Element): Element {
  const copy = answer.cloneNode(true) as Element;
  const ours = 'button, [aria-hidden="true"], [data-label], .head, .visually-hidden';
  for (const element of copy.querySelectorAll(ours)) element.remove();
  return copy;
}

async function copyBoth(text: string, html: string): Promise<boolean> {
  try {
    const types = { 'text/plain': text, 'text/html': html };
    const blobs = Object.entries(types).map(([type, part]) => [type, new Blob([part], { type })]);
    await navigator.clipboard.write([
      new ClipboardItem(Object.fromEntries(blobs) as Record<string, Blob>),
    ]);
    return true;
  } catch {
    return false;
  }
}

function copyBySelection(text: string, pressed: Element | null): boolean {
  const field = document.createElement('textarea');
  field.value = text;
  Object.assign(field.style, { position: 'fixed', opacity: '0' });
  // Nothing outside of a modal dialog can be selected.
  const parent = pressed?.closest('dialog') ?? pressed?.parentElement ?? document.body;
  parent.append(field);
  field.select();
  const copied = document.execCommand('copy');
  field.remove();
  if (pressed instanceof HTMLElement) pressed.focus();
  return copied;
}
