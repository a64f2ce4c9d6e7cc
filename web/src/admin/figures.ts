/** What the server counts, as people read it. */

import type { Doing, ServerView } from '../wire';
import type { AdminWords } from './words';

/** The value of a figure; `null` if the server does not count it. */
export function figure(view: ServerView, name: string, label: string | null = null): number | null {
  const found = view.figures.find((one) => one.name === name && one.label === label);
  return found?.value ?? null;
}

/** A part in percent; `null` if there is nothing to have a part of. */
export function percent(part: number, whole: number): number | null {
  return whole > 0 ? Math.round((100 * part) / whole) : null;
}

export function stateOf(view: ServerView, words: AdminWords): string {
  const { state } = view;
  switch (state.status) {
    case 'loading':
      return words.state.loading(Math.round(100 * state.progress));
    case 'stalled':
      return words.state.stalled;
    case 'unreachable':
      return words.state.unreachable;
    default:
      return words.state.ready;
  }
}

export function doingOf(doing: Doing, words: AdminWords): string {
  switch (doing.what) {
    case 'waiting':
      return doing.ahead ? words.waitingBehind(doing.ahead) : words.waiting;
    case 'reading':
      return words.reading(percent(doing.done, doing.total) ?? 0);
    case 'writing':
      return words.writing;
    case 'stopping':
      return words.stopping;
  }
}

/** A time in the largest two units: `2 h 05 min`. */
export function duration(seconds: number): string {
  const whole = Math.floor(seconds);
  const [days, hours, minutes] = [whole / 86_400, (whole / 3600) % 24, (whole / 60) % 60];
  const pair = (large: number, largeUnit: string, small: number, smallUnit: string) =>
    `${Math.floor(large)} ${largeUnit} ${String(Math.floor(small)).padStart(2, '0')} ${smallUnit}`;
  if (days >= 1) return pair(days, 'd', hours, 'h');
  if (hours >= 1) return pair(hours, 'h', minutes, 'min');
  if (minutes >= 1) return pair(minutes, 'min', whole % 60, 's');
  return `${whole} s`;
}
