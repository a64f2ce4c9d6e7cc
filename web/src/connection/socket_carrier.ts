/** Carries frames over a WebSocket. */

import type { Opener } from './carrier';
import { SUBPROTOCOL } from './v1';

export const socketOpener =
  (address: string): Opener =>
  (events) => {
    const socket = new WebSocket(address, SUBPROTOCOL);
    socket.onopen = () => events.opened();
    socket.onmessage = ({ data }) => {
      if (typeof data === 'string') events.frame(data);
    };
    // An error is always followed by a close: one of them is enough.
    socket.onclose = ({ code }) => events.closed(code);
    return {
      get isOpen() {
        return socket.readyState === WebSocket.OPEN;
      },
      send: (frame) => socket.send(frame),
      close: () => socket.close(),
    };
  };
