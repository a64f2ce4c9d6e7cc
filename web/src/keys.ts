/** In browsers that end a composition with the key itself, this is the key's code. */
const KEY_OF_INPUT_METHOD = 229;

/** Whether a key belongs to an input method, and to nobody else. */
export function isComposing({ isComposing, keyCode }: KeyboardEvent): boolean {
  return isComposing || keyCode === KEY_OF_INPUT_METHOD;
}
