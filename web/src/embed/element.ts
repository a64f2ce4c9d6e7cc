/** The custom element: the widget in a closed shadow tree. */

import { mount, unmount } from 'svelte';
import { browserStorage, tabStorage } from '../storage/store';
import Widget from './parts/Widget.svelte';
import { Kept } from './kept';
import { NAMES, type Options, type Read, readOptions } from './options';
import { Visit } from './visit.svelte';
import { wordsFor } from './words';

/** The styles of the widget, which the build puts in. */
declare const WIDGET_STYLES: string;

/** A constructed sheet works on pages whose policy allows no inline styles. */
const sheet = new CSSStyleSheet();
sheet.replaceSync(WIDGET_STYLES);

export interface Place {
  /** The address of the server that the script came from. */
  readonly host: string;
  /** Where the options are; the element's own attributes if it is missing. */
  readonly read?: Read;
  /** The page is nothing but the conversation. */
  readonly framed: boolean;
}

/** The element, for a page that was loaded from a server. */
export function elementFor({ host, read, framed }: Place): typeof HTMLElement {
  return class BanterChat extends HTMLElement {
    static observedAttributes = NAMES.map((name) => `data-${name}`);
    private readonly root = this.attachShadow({ mode: 'closed' });
    private shown: { visit: Visit; mounted: Record<string, unknown> } | null = null;
    private isDue = false;

    connectedCallback(): void {
      this.root.adoptedStyleSheets = [sheet];
      this.draw();
    }

    disconnectedCallback(): void {
      this.clear();
    }

    attributeChangedCallback(): void {
      // Several attributes are often changed together.
      if (!this.shown || this.isDue) return;
      this.isDue = true;
      queueMicrotask(() => {
        this.isDue = false;
        if (!this.isConnected) return;
        this.clear();
        this.draw();
      });
    }

    private draw(): void {
      const own: Read = (name) => this.getAttribute(`data-${name}`);
      const options = readOptions(read ?? own, host, (message) => console.error(message));
      if (!options || this.shown) return;
      const stores = { browser: browserStorage(), tab: tabStorage() };
      const kept = new Kept(stores, options.host, options.key);
      const visit = new Visit(options.host, options.key, kept);
      const words = wordsFor(this.languages(options));
      const props = { visit, kept, options, words, framed };
      this.shown = { visit, mounted: mount(Widget, { target: this.root, props }) };
    }

    private languages({ language }: Options): readonly string[] {
      if (language !== null) return [language];
      const ofPage = framed ? null : this.closest('[lang]')?.getAttribute('lang');
      return ofPage ? [ofPage] : navigator.languages;
    }

    private clear(): void {
      if (!this.shown) return;
      void unmount(this.shown.mounted);
      this.shown.visit.end();
      this.shown = null;
    }
  };
}
