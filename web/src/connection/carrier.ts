/** What carries the frames of `banter.v1`: a WebSocket, or a stream with requests beside it. */

export interface Carrier {
  /** Whether frames can be sent. */
  readonly isOpen: boolean;
  send(frame: string): void;
  /** Lets go of it. `closed` follows. */
  close(): void;
}

export interface CarrierEvents {
  /** Frames can be sent from now on. */
  opened(): void;
  frame(frame: string): void;
  /** Something came that is no frame: the server is there. */
  alive(): void;
  /** It is over, with a code from the WebSocket registry. Nothing more comes. */
  closed(code: number): void;
}

/** Opens a carrier to the server. */
export type Opener = (events: CarrierEvents) => Carrier;

/** "Abnormal closure": it ended without a word. */
export const CLOSE_WITHOUT_WORD = 1006;
/** "Message too big": a frame was longer than the server takes. */
export const CLOSE_TOO_LONG = 1009;
/** "Try again later": the server has no room for another connection. */
export const CLOSE_FULL = 1013;
