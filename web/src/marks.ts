/**
 * Marks in the browser's timeline, for measuring how the page feels (`make feel`). They are set
 * only if the address asks for them with `?marks`, because a browser keeps every mark.
 */

const isOn = new URLSearchParams(globalThis.location?.search ?? '').has('marks');

export type Mark =
  /** A message was sent. */
  | 'asked'
  /** Words have reached the screen. */
  | 'drawn'
  /** Stop was pressed. */
  | 'stopped';

export function mark(name: Mark): void {
  if (isOn) performance.mark(`banter:${name}`);
}

/** Marks that what has changed in this frame is on the screen. */
export function markDrawn(): void {
  if (!isOn) return;
  // A frame is painted after its callbacks; the next task comes after that.
  requestAnimationFrame(() => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => mark('drawn');
    port2.postMessage(null);
  });
}
