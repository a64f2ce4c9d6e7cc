/**
 * The same characters, in memory of their own. A part of a string keeps the whole string in memory:
 * of an answer that grows, every part would keep another state of all of it.
 */
export function copyOf(part: string): string {
  return ` ${part}`.slice(1);
}
