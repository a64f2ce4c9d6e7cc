/** What is wrong with how a page is laid out, whatever it shows. */

import type { Page } from 'playwright-core';

export function layoutFaults(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const faults: string[] = [];
    const { clientWidth, scrollWidth, scrollHeight, clientHeight } = document.documentElement;
    if (scrollWidth > clientWidth)
      faults.push(`the page is ${scrollWidth - clientWidth} px too wide`);
    if (scrollHeight > clientHeight) faults.push('the page scrolls as a whole');

    const modal = document.querySelector('dialog:modal');
    const pressed = 'button, a[href], input, textarea, summary, [role=menu]';
    for (const element of (modal ?? document).querySelectorAll<HTMLElement>(pressed)) {
      if (!element.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
      if (element.matches('.visually-hidden, .skip')) continue;
      const { left, right, top, bottom, width } = element.getBoundingClientRect();
      if (width === 0 || isCutOff(element)) continue;
      if (left < 0 || right > clientWidth + 0.5)
        faults.push(`beside the window: ${named(element)}`);
      if (top < 0 || bottom > clientHeight + 0.5)
        faults.push(`below the window: ${named(element)}`);
      if (element.matches('button') && element.scrollWidth > element.clientWidth + 1)
        faults.push(`words wider than their button: ${named(element)}`);
    }

    const [main, footer] = [document.querySelector('main'), document.querySelector('footer')];
    if (main && footer && below(main) > above(footer) + 0.5)
      faults.push('the conversation reaches under the composer');
    const line = document.querySelector('footer .line');
    const composer = document.querySelector('form.composer');
    if (line && composer && below(line) > above(composer) + 0.5)
      faults.push('the status line reaches into the composer');
    return faults;

    function above(element: Element): number {
      return element.getBoundingClientRect().top;
    }

    function below(element: Element): number {
      return element.getBoundingClientRect().bottom;
    }

    function named(element: HTMLElement): string {
      return element.ariaLabel || element.innerText?.slice(0, 40) || element.outerHTML.slice(0, 80);
    }

    /** Something that scrolls shows only a part of it. */
    function isCutOff(element: Element): boolean {
      const inner = element.getBoundingClientRect();
      for (let outer = element.parentElement; outer; outer = outer.parentElement) {
        if (getComputedStyle(outer).overflow === 'visible') continue;
        const box = outer.getBoundingClientRect();
        if (inner.top < box.top || inner.bottom > box.bottom) return true;
        if (inner.left < box.left || inner.right > box.right)
          return outer.scrollWidth > outer.clientWidth;
      }
      return false;
    }
  });
}
