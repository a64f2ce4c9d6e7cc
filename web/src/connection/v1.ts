/** Reads and writes the frames of `banter.v1`. The server's types are trusted; its JSON is not. */

import type { ClientEvent, ServerEvent, TagField } from '../wire';

export const SUBPROTOCOL = 'banter.v1';

export type Received = ServerEvent & TagField;
export type Sent = ClientEvent & TagField;

/**
 * `null` for a frame that is no event. Events of later versions have types that nobody here knows.
 */
export function readEvent(frame: string): Received | null {
  try {
    const value: unknown = JSON.parse(frame);
    return isEvent(value) ? value : null;
  } catch {
    return null;
  }
}

export function writeEvent(event: Sent): string {
  return JSON.stringify(event);
}

function isEvent(value: unknown): value is Received {
  return typeof value === 'object' && value !== null && 'type' in value;
}
