import './tokens.css';
import './controls.css';
import './app.css';
import { mount } from 'svelte';
import App from './App.svelte';
import { Chat } from './chat.svelte';
import { readLaunch, withoutLaunch } from './install/launch';
import { registerServiceWorker } from './install/register';

const chat = new Chat(location.href);
mount(App, { target: document.getElementById('app')!, props: { chat } });
const code = takeCode();
chat.composing.begin(takeLaunch());
chat.start(code);
registerServiceWorker();
followKeyboard();

/**
 * The one-time code of a printed link; it is taken out of the address, and so out of the history.
 */
function takeCode(): string | null {
  const code = /^#code=(.+)$/.exec(location.hash)?.[1];
  if (code === undefined) return null;
  history.replaceState(null, '', location.pathname + location.search);
  // Codes are made of letters and digits; anything else is told to be wrong like a wrong one.
  return code;
}

/**
 * The beginning of a message in the address: `/?q=…`, or what was shared with an installed page.
 */
function takeLaunch(): string {
  const { text, startsNew } = readLaunch(location.search);
  const rest = location.pathname + withoutLaunch(location.search);
  history.replaceState(null, '', rest + (startsNew ? '' : location.hash));
  return text;
}

/** Keeps the composer above the keyboard where the browser lays the page out behind it. */
function followKeyboard(): void {
  const seen = window.visualViewport;
  seen?.addEventListener('resize', () => {
    const zoomed = seen.scale > 1.01;
    const height = zoomed ? '100dvh' : `${seen.height}px`;
    document.documentElement.style.setProperty('--seen-height', height);
  });
}
