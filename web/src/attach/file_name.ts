/** File names that are safe to show and to write into a message. */

const MOST_CHARACTERS = 120;
/** How much of the end stays when a name is shortened, so that its extension does. */
const TAIL_CHARACTERS = 24;

/**
 * Letters of other scripts stay; what is invisible, breaks a line or turns the direction does not.
 */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu;

/**
 * A file's name without what could mislead: one line, nothing invisible, no more than 120
 * characters. Cleaning it again changes nothing.
 */
export function cleanName(name: string): string {
  const visible = name.replace(/\s+/g, ' ').replace(INVISIBLE, '').replace(/ +/g, ' ').trim();
  if (visible === '') return 'file';
  const characters = [...visible];
  if (characters.length <= MOST_CHARACTERS) return visible;
  const head = characters
    .slice(0, MOST_CHARACTERS - TAIL_CHARACTERS - 1)
    .join('')
    .trimEnd();
  return `${head}…${characters.slice(-TAIL_CHARACTERS).join('').trimStart()}`;
}

/** The part after the last dot in small letters; empty if there is none. */
export function extensionOf(name: string): string {
  return /[^.]\.([^.\s]+)$/.exec(name)?.[1]?.toLowerCase() ?? '';
}
