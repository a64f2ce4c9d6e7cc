/** Keys and pointers. */

/** In browsers that end a composition with the key itself, this is the key's code. */
const KEY_OF_INPUT_METHOD = 229;

/** Whether a key belongs to an input method, and to nobody else. */
export function isComposing({ isComposing, keyCode }: KeyboardEvent): boolean {
  return isComposing || keyCode === KEY_OF_INPUT_METHOD;
}

/**
 * Whether a click on a link is meant for this page: another tab or window is the browser's affair.
 */
export function isPlainClick({ ctrlKey, metaKey, shiftKey, button }: MouseEvent): boolean {
  return !ctrlKey && !metaKey && !shiftKey && button === 0;
}
