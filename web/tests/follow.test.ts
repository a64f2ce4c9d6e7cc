import { beforeAll, expect, it, vi } from 'vitest';
import { Follow } from '../src/follow.svelte';

beforeAll(() => {
  // There are no fields here.
  vi.stubGlobal('HTMLTextAreaElement', class {});
  vi.stubGlobal('HTMLInputElement', class {});
});

/** An element that shows 100 of 1,000 pixels, scrolled to its end. */
function atEnd(): HTMLElement {
  const element = { scrollTop: 900, scrollHeight: 1000, clientHeight: 100 };
  return element as unknown as HTMLElement;
}

function press(follow: Follow, element: HTMLElement, key: string): void {
  const event = { key, shiftKey: false, target: element, currentTarget: element };
  follow.key(event as unknown as KeyboardEvent);
}

function turn(follow: Follow, element: HTMLElement, deltaY: number): void {
  follow.wheel({ deltaY, ctrlKey: false, currentTarget: element } as unknown as WheelEvent);
}

it('follows again if nothing has scrolled between a movement up and one down', () => {
  for (const [up, down] of [
    ['PageUp', 'End'],
    ['ArrowUp', 'ArrowDown'],
    ['Home', 'PageDown'],
  ] as const) {
    const [follow, element] = [new Follow(), atEnd()];
    press(follow, element, up);
    expect(follow.following, up).toBe(false);
    press(follow, element, down);
    expect(follow.following, down).toBe(true);
  }
  const [follow, element] = [new Follow(), atEnd()];
  turn(follow, element, -4);
  expect(follow.following).toBe(false);
  turn(follow, element, 4);
  expect(follow.following).toBe(true);
});

it('does not follow again before the very end', () => {
  const [follow, element] = [new Follow(), atEnd()];
  press(follow, element, 'PageUp');
  element.scrollTop = 500;
  follow.scrolled(element);
  press(follow, element, 'PageDown');
  turn(follow, element, 4);
  expect(follow.following).toBe(false);
  element.scrollTop = 900;
  follow.scrolled(element);
  expect(follow.following).toBe(true);
});

it('follows again if the element grows while a movement down scrolls to its end', () => {
  for (const isScrolledAtOnce of [true, false]) {
    const [follow, element] = [new Follow(), atEnd()];
    follow.scrolled(element);
    press(follow, element, 'PageUp');
    const up = (): void => {
      element.scrollTop = 500;
      follow.scrolled(element);
    };
    if (isScrolledAtOnce) up();
    press(follow, element, 'End');
    if (!isScrolledAtOnce) up();
    Object.assign(element, { scrollHeight: 5000 });
    follow.resized(element);
    element.scrollTop = 700;
    follow.scrolled(element);
    expect(follow.following).toBe(false);
    element.scrollTop = 900;
    follow.scrolled(element);
    expect(follow.following).toBe(true);
    expect(element.scrollTop).toBe(5000);
  }
});

it('forgets where a movement down went after a movement up', () => {
  const [follow, element] = [new Follow(), atEnd()];
  element.scrollTop = 500;
  follow.scrolled(element);
  press(follow, element, 'PageDown');
  Object.assign(element, { scrollHeight: 5000 });
  press(follow, element, 'ArrowUp');
  element.scrollTop = 1000;
  follow.scrolled(element);
  expect(follow.following).toBe(false);
});

it('forgets where a movement down went after a second', () => {
  vi.useFakeTimers();
  const [follow, element] = [new Follow(), atEnd()];
  press(follow, element, 'End');
  Object.assign(element, { scrollHeight: 5000 });
  follow.resized(element);
  follow.scrolled(element);
  vi.advanceTimersByTime(2_000);
  element.scrollTop = 500;
  follow.scrolled(element);
  element.scrollTop = 1000;
  follow.scrolled(element);
  expect(follow.following).toBe(false);
  vi.useRealTimers();
});
