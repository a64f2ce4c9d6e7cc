/**
 * The script of the widget, `embed.js`: it defines `<banter-chat>`, and puts one at the end of the
 * page if the script has a key.
 */

import '../tokens.css';
import '../controls.css';
import './widget.css';
import { elementFor } from './element';
import { NAMES } from './options';

const NAME = 'banter-chat';

const script = document.currentScript;
if (script instanceof HTMLScriptElement) begin(script);
else console.error('banter: expected to be loaded by <script src="…/embed.js">, not as a module');

function begin(script: HTMLScriptElement): void {
  const host = new URL('./', script.src).href;
  const framed = script.dataset.frame !== undefined;
  warnOfMixedContent(host);
  if (!customElements.get(NAME)) {
    const read = framed ? { read: readQuery } : {};
    customElements.define(NAME, elementFor({ host, framed, ...read }));
  }
  if (framed || script.dataset.key !== undefined) whenThereIsABody(() => add(script, host));
}

/** The page for frames talks to its own server only, whatever its address says. */
function readQuery(name: string): string | null {
  return name === 'host' ? null : new URLSearchParams(location.search).get(name);
}

function add(script: HTMLScriptElement, host: string): void {
  const element = document.createElement(NAME);
  for (const name of NAMES) {
    const value = script.getAttribute(`data-${name}`);
    if (value !== null) element.setAttribute(`data-${name}`, value);
  }
  // Another script of the page may have defined the element, for another server.
  if (!element.dataset.host) element.dataset.host = host;
  document.body.append(element);
}

function whenThereIsABody(act: () => void): void {
  if (document.body) return act();
  document.addEventListener('DOMContentLoaded', act, { once: true });
}

/** A browser says nothing of this to a page. */
function warnOfMixedContent(host: string): void {
  const isLocal = /^http:\/\/(?:localhost|127\.0\.0\.1|\[::1\])[:/]/.test(host);
  if (location.protocol !== 'https:' || host.startsWith('https:') || isLocal) return;
  console.error(
    `banter: a page under https can only use a server under https, found ${host}; see docs/EMBED.md`,
  );
}
