/**
 * Keeps a growing element scrolled to its end. It stops following at the first upward movement of a
 * person, however small. It follows again when the person scrolls down to the very end or presses the
 * button.
 */

/** Fractions of a pixel, and the rounding of zoomed pages. */
const AT_END_PX = 2;
/** Keys that scroll up when the scroller, or something in it, has the focus. */
const KEYS_UP = ['ArrowUp', 'PageUp', 'Home'];

export class Follow {
  following = $state(true);

  private lastTop = 0;
  private touchY: number | null = null;

  wheel({ deltaY, ctrlKey, currentTarget }: WheelEvent): void {
    // With Ctrl it zooms.
    if (deltaY < 0 && !ctrlKey) this.letGo(currentTarget as HTMLElement);
  }

  touchStart({ touches }: TouchEvent): void {
    this.touchY = touches[0]?.clientY ?? null;
  }

  touchMove({ touches, currentTarget }: TouchEvent): void {
    const y = touches[0]?.clientY ?? null;
    // The finger goes down, so the text does, too.
    if (y !== null && this.touchY !== null && y > this.touchY)
      this.letGo(currentTarget as HTMLElement);
    this.touchY = y;
  }

  key({ key, shiftKey, target, currentTarget }: KeyboardEvent): void {
    // In a field the keys move its own cursor.
    if (target instanceof HTMLTextAreaElement || target instanceof HTMLInputElement) return;
    if (KEYS_UP.includes(key) || (key === ' ' && shiftKey && target === currentTarget))
      this.letGo(currentTarget as HTMLElement);
  }

  scrolled(element: HTMLElement): void {
    const { scrollTop } = element;
    const isAtEnd = distanceToEnd(element) < AT_END_PX;
    // Growth below does not end following; pulling the scroll bar up does.
    if (scrollTop < this.lastTop && !isAtEnd) this.following = false;
    if (scrollTop > this.lastTop && isAtEnd) this.following = true;
    this.lastTop = scrollTop;
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

  private letGo(element: HTMLElement): void {
    if (canScroll(element) && element.scrollTop > 0) this.following = false;
  }
}

function canScroll({ scrollHeight, clientHeight }: HTMLElement): boolean {
  return scrollHeight > clientHeight;
}

function distanceToEnd({ scrollHeight, scrollTop, clientHeight }: HTMLElement): number {
  return scrollHeight - scrollTop - clientHeight;
}
