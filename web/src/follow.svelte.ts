/**
 * Keeps a growing element scrolled to its end. It stops following at the first upward movement of a
 * person, however small. It follows again when the person scrolls down to the very end, wants to go
 * further down there, or presses the button.
 *
 * A browser scrolls over several frames, in which the element grows. The end that a movement down
 * reaches is therefore the end when the movement began.
 */

/** Fractions of a pixel, and the rounding of zoomed pages. */
const AT_END_PX = 2;
/** A browser's own smooth scrolling takes less. */
const LONGEST_SCROLL_MS = 1_000;
/** Keys that scroll up when the scroller, or something in it, has the focus. */
const KEYS_UP = ['ArrowUp', 'PageUp', 'Home'];
const KEYS_DOWN = ['ArrowDown', 'PageDown', 'End'];

export class Follow {
  following = $state(true);

  private lastTop = 0;
  /** The `scrollTop` of the end when the last movement down began, and when that was. */
  private goal = { top: Infinity, setAt: 0 };
  private touchY: number | null = null;

  wheel({ deltaY, ctrlKey, currentTarget }: WheelEvent): void {
    // With Ctrl it zooms.
    if (deltaY < 0 && !ctrlKey) this.letGo(currentTarget as HTMLElement);
    if (deltaY > 0 && !ctrlKey) this.down(currentTarget as HTMLElement);
  }

  touchStart({ touches }: TouchEvent): void {
    this.touchY = touches[0]?.clientY ?? null;
  }

  touchMove({ touches, currentTarget }: TouchEvent): void {
    const y = touches[0]?.clientY ?? null;
    // The finger goes down, so the text does, too.
    if (y !== null && this.touchY !== null && y > this.touchY)
      this.letGo(currentTarget as HTMLElement);
    if (y !== null && this.touchY !== null && y < this.touchY)
      this.down(currentTarget as HTMLElement);
    this.touchY = y;
  }

  key({ key, shiftKey, target, currentTarget }: KeyboardEvent): void {
    // In a field the keys move its own cursor.
    if (target instanceof HTMLTextAreaElement || target instanceof HTMLInputElement) return;
    const isPage = key === ' ' && target === currentTarget;
    if (KEYS_UP.includes(key) || (isPage && shiftKey)) this.letGo(currentTarget as HTMLElement);
    if (KEYS_DOWN.includes(key) || (isPage && !shiftKey)) this.down(currentTarget as HTMLElement);
  }

  scrolled(element: HTMLElement): void {
    const { scrollTop } = element;
    const isAtEnd = distanceToEnd(element) < AT_END_PX;
    // Growth below does not end following; pulling the scroll bar up does.
    if (scrollTop < this.lastTop && !isAtEnd) this.following = false;
    if (scrollTop > this.lastTop) {
      if (isAtEnd) this.following = true;
      else if (this.hasReachedGoal(scrollTop)) this.toEnd(element);
    }
    this.lastTop = element.scrollTop;
  }

  /** The content or the element has another size. */
  resized(element: HTMLElement): void {
    if (this.following) this.toEnd(element);
    // If everything is visible, there is nothing to return to.
    else if (!canScroll(element)) this.following = true;
  }

  toEnd(element: HTMLElement): void {
    this.following = true;
    element.scrollTop = element.scrollHeight;
  }

  /** A movement down. At the very end nothing scrolls that would say so. */
  private down(element: HTMLElement): void {
    if (distanceToEnd(element) < AT_END_PX) this.following = true;
    this.goal = { top: endOf(element), setAt: performance.now() };
  }

  private hasReachedGoal(scrollTop: number): boolean {
    const { top, setAt } = this.goal;
    return top - scrollTop < AT_END_PX && performance.now() - setAt < LONGEST_SCROLL_MS;
  }

  private letGo(element: HTMLElement): void {
    this.goal.top = Infinity;
    if (canScroll(element) && element.scrollTop > 0) this.following = false;
  }
}

function canScroll({ scrollHeight, clientHeight }: HTMLElement): boolean {
  return scrollHeight > clientHeight;
}

function endOf({ scrollHeight, clientHeight }: HTMLElement): number {
  return scrollHeight - clientHeight;
}

function distanceToEnd(element: HTMLElement): number {
  return endOf(element) - element.scrollTop;
}
